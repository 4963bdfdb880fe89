# SPDX-License-Identifier: Apache-2.0
"""One grader process: reads a gradable pair per line on standard input, writes the outcome per line on standard output.

Run as a file, by `pool.MathPool` only, it imports this folder and python-flint and nothing heavier: the packages above
this folder are made here, empty. The judge bounds all that it computes; should it meet something that takes too long
all the same, the kernel kills this process, even inside one C call, and even if its parent is gone.

Protocol, JSON per line. In: {"gold", "answer", "cpu_s"}. Out: first {"ready": true}, then {"outcome", "detail",
"cpu_s"} with outcome "correct", "wrong", "bad_gold" (nothing can be compared with the reference) or "error" (the judge
raised; `scorer.py` finds out whose fault it is).
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import types

_here = os.path.dirname(os.path.abspath(__file__))
if __name__ == "__main__":
    _room = os.path.dirname(_here)
    for _name, _path in (("klear_verl", os.path.dirname(_room)), ("klear_verl.reward", _room)):
        _package = types.ModuleType(_name)
        _package.__path__ = [_path]
        sys.modules[_name] = _package

from klear_verl.reward.math.judge import grade as judge  # noqa: E402
from klear_verl.reward.math.judge import reference_fault  # noqa: E402


def grade(gold: str, answer: str) -> tuple[str, str]:
    """(outcome, detail) of one pair; see the protocol."""
    if fault := reference_fault(gold):
        return "bad_gold", fault
    try:
        right, found = judge(gold, answer)
    except Exception as error:  # whatever an answer provokes, RecursionError and MemoryError included, is reported
        return "error", f"{type(error).__name__}: {str(error)[:200]}"
    return ("correct", "") if right else ("wrong", f"got {found[:200]!r}" if found else "no answer found")


def main() -> None:
    """Grades until standard input closes."""
    # Integers of any length may be read; how long they may be is bounded where they are.
    sys.set_int_max_str_digits(0)
    memory_bytes = int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a parent that is gone needs no traceback
    # Replies go out on a private descriptor: nothing that prints can corrupt them.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=replies)
    for line in sys.stdin:
        request = json.loads(line)
        start = time.process_time()
        # The default action of its signal ends the process, in the kernel. It counts this process's CPU time alone, so
        # it need not be disarmed while waiting. The wall-clock limit is the parent's to keep.
        signal.setitimer(signal.ITIMER_PROF, request["cpu_s"])
        outcome, detail = grade(request["gold"], request["answer"])
        print(json.dumps({"outcome": outcome, "detail": detail, "cpu_s": time.process_time() - start}), file=replies)


if __name__ == "__main__":
    main()
