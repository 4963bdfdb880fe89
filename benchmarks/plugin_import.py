# SPDX-License-Identifier: Apache-2.0
"""What our plugin adds to `import verl`: medians over fresh interpreters, with plugin discovery off and on.

    python benchmarks/plugin_import.py [--runs 5]

Prints one JSON line; exit status 1 if more than the target is added. CPU seconds, because a busy machine doubles wall
time. That discovery itself costs something, without any plugin, is part of the difference.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

TIMED = "import time; t = time.process_time(); import verl; print(time.process_time() - t)"
TARGET_S = 0.3


def import_s(plugins: str, platform: str | None) -> float:
    """CPU seconds that `import verl` takes in a fresh interpreter, with VERL_USE_EXTERNAL_PLUGINS=`plugins`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VERL_")}
    chosen = {"VERL_PLATFORM": platform} if platform else {}
    environment = {**kept, **chosen, "VERL_USE_EXTERNAL_PLUGINS": plugins}
    done = subprocess.run([sys.executable, "-c", TIMED], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def measure(runs: int, platform: str | None) -> dict[str, float]:
    """Medians of `runs` interleaved pairs, in seconds, after one pair that warms the file cache.

    Args:
        runs: number of pairs.
        platform: VERL_PLATFORM of the runs with the plugin; those without leave it unset, as stock verl has no "cpu".
    """
    pairs = [(import_s("none", None), import_s("auto", platform)) for _ in range(runs + 1)][1:]
    without, with_plugin = (statistics.median(column) for column in zip(*pairs, strict=True))
    added = statistics.median(on - off for off, on in pairs)
    return {"without_s": without, "with_s": with_plugin, "added_s": added, "ratio": with_plugin / without}


def main() -> int:
    """Measures on verl's own choice of platform and on the CPU platform; fails over the target."""
    parser = argparse.ArgumentParser(description="What the plugin adds to `import verl`.")
    parser.add_argument("--runs", type=int, default=5, help="pairs of interpreters per platform")
    runs = parser.parse_args().runs
    results = {name: measure(runs, platform) for name, platform in (("stock", None), ("cpu", "cpu"))}
    print(json.dumps({name: {key: round(value, 3) for key, value in row.items()} for name, row in results.items()}))
    return int(any(row["added_s"] > TARGET_S for row in results.values()))


if __name__ == "__main__":
    sys.exit(main())
