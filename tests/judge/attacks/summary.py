# SPDX-License-Identifier: Apache-2.0
"""Runs the whole battery and says what came of it: `python -m tests.judge.attacks.summary [--json FILE] [--only TEXT]`.

It prints the active layers, every class of attacks and every group of honest programs at both granularities, and what
was left on the machine. The exit status is 0 only if nothing was accepted that should not be, everything that should,
and nothing was left.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from klear_verl.errors import EnvironmentProblem
from tests.judge.attacks.machine import MOST_GROWTH_MIB, MachineWatch
from tests.judge.attacks.outside import Outside
from tests.judge.attacks.trial import (
    GRANULARITIES,
    Granularity,
    Trial,
    attacks,
    idioms,
    judge_for_attacks,
    judge_for_idioms,
    still_works,
    try_attack,
    try_idiom,
)

Counts = dict[str, dict[str, int]]
_COLUMNS = {"programs": 9, "accepted": 10, "documented": 12, "internal_errors": 17, "flawed": 8}
"""With their widths. Documented: accepted, at granularity "solution", for what one test has left for the next."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the results there too")
    parser.add_argument("--only", default="", help="only programs with this in their class or name")
    parser.add_argument("--granularity", action="append", choices=GRANULARITIES, help="default: both, side by side")
    options = parser.parse_args()
    try:
        results = run(options.granularity or GRANULARITIES, options.only)
    except EnvironmentProblem as problem:
        print(problem, file=sys.stderr)
        return 2
    print(text(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 1 if results["flaws"] else 0


def run(granularities: Sequence[Granularity], only: str) -> dict[str, Any]:
    """All trials, as JSON values."""
    started = time.monotonic()
    results: dict[str, Any] = {"layers": [], "attacks": {}, "idioms": {}, "flaws": []}
    with MachineWatch() as watch, ThreadPoolExecutor(len(granularities)) as pool:
        list(pool.map(lambda granularity: _run(granularity, only, results), granularities))
    results["leaks"] = watch.leaks
    results["growth_mib"] = round(watch.growth_mib, 1)
    results["flaws"] += [f"machine: {count:g} {name} left" for name, count in watch.leaks.items()]
    if watch.growth_mib > MOST_GROWTH_MIB:
        results["flaws"].append(f"machine: the supervisor grew by {watch.growth_mib:.0f} MiB")
    results["seconds"] = round(time.monotonic() - started, 1)
    return results


def _run(granularity: Granularity, only: str, results: dict[str, Any]) -> None:
    flaws = results["flaws"]
    with Outside() as outside, judge_for_attacks(granularity) as judge:
        results["layers"] = list(judge.layers)
        results["attacks"][granularity] = _try_all(
            attacks(), lambda attack: try_attack(judge, attack, outside), only, f"attack at {granularity}", flaws
        )
        if broken := still_works(judge):
            flaws.append(f"after all attacks at {granularity}: {broken}")
    with judge_for_idioms(granularity) as judge:
        results["idioms"][granularity] = _try_all(
            idioms(), lambda idiom: try_idiom(judge, idiom), only, f"idiom at {granularity}", flaws
        )


def _try_all(
    members: Iterable[tuple[str, Any]], trial: Callable[[Any], Trial], only: str, what: str, flaws: list[str]
) -> Counts:
    groups: dict[str, Counter[str]] = {}
    for group, member in members:
        if only not in f"{group} {member.name}":
            continue
        outcome = trial(member)
        counts = groups.setdefault(group, Counter(dict.fromkeys(_COLUMNS, 0)))
        counts["programs"] += 1
        counts["accepted"] += "AC" in outcome.verdicts and not outcome.documented
        counts["documented"] += outcome.documented
        counts["internal_errors"] += "IE" in outcome.verdicts
        counts["flawed"] += bool(outcome.flaws)
        flaws += [f"{what}: {group}: {member.name}: {flaw}" for flaw in outcome.flaws]
    return {group: dict(counts) for group, counts in groups.items()}


def text(results: dict[str, Any]) -> str:
    """The results as people read them."""
    lines = [f"layers   {' '.join(results['layers'])}"]
    for kind in ("attacks", "idioms"):
        for granularity, groups in results[kind].items():
            title = f"{kind}, granularity {granularity!r}"
            heads = "".join(name.replace("_", " ").rjust(width) for name, width in _COLUMNS.items())
            lines += ["", f"{title:<36}{heads}"]
            for group, counts in [*groups.items(), ("all", totals(groups))]:
                numbers = "".join(str(counts[name]).rjust(width) for name, width in _COLUMNS.items())
                lines.append(f"  {group:<34}{numbers}")
    left = ", ".join(f"{count:g} {name}" for name, count in results["leaks"].items()) or "nothing"
    lines += ["", f"left on the machine: {left}; the supervisor's memory grew by {results['growth_mib']} MiB"]
    lines += [f"time: {results['seconds']} s", *(f"FLAW {flaw}" for flaw in results["flaws"])]
    return "\n".join(lines)


def totals(groups: Counts) -> Counter[str]:
    """The counts of all groups together."""
    total: Counter[str] = Counter()
    for counts in groups.values():
        total.update(counts)
    return total


if __name__ == "__main__":
    sys.exit(main())
