# SPDX-License-Identifier: Apache-2.0
"""Judges the same sixty solutions on a quiet and on an overloaded machine, and compares every verdict.

Many of the solutions are near a limit (`judge_bench/load_programs.py`). Overloaded means that four processes that
never rest compete for each core that the judge uses. All is repeated, in both granularities. Each verdict is also
compared with the one that is right, so a judge that is always wrong does not pass.

    python benchmarks/judge_load.py --json load.json --markdown docs/judge_benchmarks.md
    python benchmarks/judge_load.py --quick

A few minutes; exit status 1 if any verdict differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge_bench import machine, tables
from judge_bench.load_programs import LIMITS, Solution, solutions

from klear_verl.judge import Judge, JudgeConfig


@dataclass(frozen=True)
class Pass:
    """All solutions judged once. `verdicts` is in the order of the solutions, a string per test."""

    granularity: str
    loaded: bool
    wall_s: float
    verdicts: list[tuple[str, ...]]


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description="the same verdicts, however busy the machine")
    parser.add_argument("--repeats", type=int, default=3, help="quiet and loaded passes of each granularity")
    parser.add_argument("--load", type=int, default=4, help="burners per core")
    parser.add_argument("--slots", type=int, default=len(machine.cores_in_use()), help="solutions at once")
    parser.add_argument("--quick", action="store_true", help="every fourth solution, once")
    parser.add_argument("--json", type=Path, help="write all verdicts here")
    parser.add_argument("--markdown", type=Path, help="put the result into this page, between its load markers")
    arguments = parser.parse_args()

    where = machine.facts()
    chosen = solutions()[:: 4 if arguments.quick else 1]
    passes: list[Pass] = []
    for granularity in ("test", "solution"):
        options: dict[str, Any] = {"granularity": granularity}
        with Judge(JudgeConfig(slots=arguments.slots, limits=LIMITS, **options)) as judge:
            where["layers"] = judge.layers
            for _ in range(1 if arguments.quick else arguments.repeats):
                passes.append(judge_all(judge, chosen, granularity, loaded=False))
                with burners(arguments.load * where["cores"]):
                    passes.append(judge_all(judge, chosen, granularity, loaded=True))
                print(f"{granularity}: {passes[-2].wall_s:.0f} s, loaded {passes[-1].wall_s:.0f} s", file=sys.stderr)
    differences = compare(chosen, passes)

    content = report(chosen, passes, differences, arguments.load, where)
    print(content)
    if arguments.json:
        rows = [{"granularity": p.granularity, "loaded": p.loaded, "wall_s": p.wall_s} for p in passes]
        for row, done in zip(rows, passes, strict=True):
            row["verdicts"] = {s.name: v for s, v in zip(chosen, done.verdicts, strict=True)}
        record = {"machine": where, "load": arguments.load, "passes": rows, "differences": differences}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.markdown:
        tables.embed(arguments.markdown, "load", content)
    return int(bool(differences))


def judge_all(judge: Judge, chosen: list[Solution], granularity: str, loaded: bool) -> Pass:
    """All solutions, as many at once as the judge has slots."""
    started = time.monotonic()
    with ThreadPoolExecutor(judge.config.slots) as pool:
        judgements = list(pool.map(lambda solution: judge.run(solution.problem, solution.source), chosen))
    verdicts = [tuple(str(verdict) for verdict in judgement.verdicts) for judgement in judgements]
    return Pass(granularity, loaded, time.monotonic() - started, verdicts)


@contextmanager
def burners(count: int) -> Iterator[None]:
    """`count` processes that never rest."""
    running = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.5)  # until they have started
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def compare(chosen: list[Solution], passes: list[Pass]) -> list[str]:
    """One line for every solution of every pass whose verdicts are not those that are right."""
    lines = []
    for done in passes:
        for solution, verdicts in zip(chosen, done.verdicts, strict=True):
            if set(verdicts) != {solution.verdict}:
                how = "loaded" if done.loaded else "quiet"
                lines.append(
                    f"{solution.name} ({done.granularity}, {how}): {' '.join(verdicts)}, not {solution.verdict}"
                )
    return lines


def report(chosen: list[Solution], passes: list[Pass], differences: list[str], load: int, where: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = []
    for granularity in dict.fromkeys(done.granularity for done in passes):
        for loaded in (False, True):
            same = [done for done in passes if (done.granularity, done.loaded) == (granularity, loaded)]
            verdicts = sum(len(row) for done in same for row in done.verdicts)
            how = f"{load} burners per core" if loaded else "quiet"
            mean_s = sum(done.wall_s for done in same) / len(same)
            rows.append([f"{granularity}, {how}", str(len(same)), str(verdicts), f"{mean_s:.1f}"])
    table = tables.table(["granularity", "passes", "verdicts", "s per pass"], rows)
    verdict = "\n".join(f"- {line}" for line in differences) or "Every verdict was the same, and right."
    return f"{tables.machine_line(where)} {len(chosen)} solutions.\n\n{table}\n\n{verdict}"


if __name__ == "__main__":
    sys.exit(main())
