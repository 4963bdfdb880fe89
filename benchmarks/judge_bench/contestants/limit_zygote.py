# SPDX-License-Identifier: Apache-2.0
"""The process whose bare fork and exit is the limit of any fork-per-test judge. Run by path, as our zygote is; see
`fork_limit.py`.

Reads lines "MODE SECONDS" and answers with how often it forked in how many seconds. MODE is "os", Python's own
`os.fork`, or "libc", the C function without Python's at-fork handlers.
"""

import ctypes
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable

# PyDLL: the child must hold the GIL as the parent does.
FORKS: dict[str, Callable[[], int]] = {"os": os.fork, "libc": ctypes.PyDLL(None).fork}


def main() -> None:
    setup = json.loads(sys.argv[1])
    sys.path.extend(setup["site"])
    for name in setup["preload"]:
        importlib.import_module(name)
    gc.collect()
    gc.disable()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        mode, seconds = line.split()
        print(*_fork_for(mode, float(seconds)), flush=True)


def _fork_for(mode: str, seconds: float) -> tuple[int, float]:
    fork, forks, started = FORKS[mode], 0, time.perf_counter()
    while True:
        for _ in range(8):
            pid = fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        forks += 8
        elapsed_s = time.perf_counter() - started
        if elapsed_s >= seconds:
            return forks, elapsed_s


if __name__ == "__main__":
    main()
