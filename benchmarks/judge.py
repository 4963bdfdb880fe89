# SPDX-License-Identifier: Apache-2.0
"""Times the judge against its peers, in one run and on the same solutions, and says which targets are met.

Peers: a fresh process per test, verl's prime_code, execution inside the grader's process as LiveCodeBench does it, and
the limit: a bare fork and exit from a process like our zygote. Every contestant runs in a process of its own; all take
turns on the same cores, round after round; a ratio is the median of the ratios within the rounds. What a contestant
judges wrongly is reported, and marked in the table.

    python benchmarks/judge.py --json judge.json --picture docs/assets/judge-benchmark.svg \
        --markdown docs/judge_benchmarks.md
    python benchmarks/judge.py --quick

Under ten minutes on two cores; `--quick` under one. Exit status 1 if a target is missed or a contestant failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from judge_bench import endless, machine, picture, plan, programs, tables, targets
from judge_bench.rounds import Results, Rounds


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description="the judge against its peers")
    parser.add_argument("--quick", action="store_true", help="few cells, short slices: under a minute, and noisy")
    parser.add_argument("--rounds", type=int, help="interleaved repetitions (default: 5, quick: 2)")
    parser.add_argument("--json", type=Path, help="write all samples here")
    parser.add_argument("--markdown", type=Path, help="put the tables into this page, between its judge markers")
    parser.add_argument("--picture", type=Path, help="draw here (.svg or .png)")
    arguments = parser.parse_args()

    cores = min(2, len(machine.cores_in_use()))
    chosen = plan.quick(cores) if arguments.quick else plan.default(cores)
    if arguments.rounds:
        chosen = dataclasses.replace(chosen, rounds=arguments.rounds)
    where, stolen, began = machine.facts(), machine.stolen_s(), time.monotonic()
    loops = programs.calibrate_loops()
    with Rounds(chosen, loops) as clockwork:
        results = clockwork.run()
    costs = endless.measure(chosen, results.failures)
    took_s = time.monotonic() - began
    where["stolen_share"] = (machine.stolen_s() - stolen) / took_s / where["cores"]
    where["layers"] = results.facts.get("ours", {}).get("layers", [])
    found = targets.evaluate(chosen, results, costs)

    content = _report(chosen, results, costs, found, where)
    print(content)
    print(f"\ntook {took_s:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(_record(results, costs, found, where, loops, took_s), indent=1) + "\n")
    if arguments.markdown:
        tables.embed(arguments.markdown, "judge", content)
    if arguments.picture:
        picture.draw(chosen, results, arguments.picture)
    return int(bool(results.failures) or any(target.met is False for target in found))


def _report(
    chosen: plan.Plan,
    results: Results,
    costs: list[endless.EndlessRow],
    found: list[targets.Target],
    where: dict[str, Any],
) -> str:
    notes = [
        f"- {entrant.label} misjudges {', '.join(names)} ({cell.name})"
        for cell in chosen.cells
        for key, entrant in plan.ENTRANTS.items()
        if (names := results.misjudged(cell, (key, 1)))
    ]
    notes += [f"- {name} dropped out: {why}" for name, why in results.failures.items()]
    rounds = 1 + max(sample.round for cell in results.samples.values() for row in cell.values() for sample in row)
    head = f"{tables.machine_line(where)} Layers: {', '.join(where['layers'])}. Medians of {rounds} interleaved rounds."
    parts = [head, tables.targets(found), tables.times(chosen, results), tables.ratios(chosen, results)]
    parts += [tables.rates(chosen, results), tables.endless(costs)]
    if notes:
        parts.append("\\* judged wrongly, or not at all:\n\n" + "\n".join(notes))
    return "\n\n".join(parts)


def _record(
    results: Results,
    costs: list[endless.EndlessRow],
    found: list[targets.Target],
    where: dict[str, Any],
    loops: int,
    took_s: float,
) -> dict[str, Any]:
    cells = [
        {
            **{key: getattr(cell, key) for key in ("imports", "behaviour", "tests")},
            "contestant": name,
            "cores": cores,
            "ms_per_test": results.ms(cell, (name, cores)),
            "samples": [dataclasses.asdict(sample) for sample in samples],
        }
        for cell, rows in results.samples.items()
        for (name, cores), samples in rows.items()
    ]
    return {
        "machine": where,
        "took_s": took_s,
        "slow_loops": loops,
        "mix": programs.MIX,
        "cells": cells,
        "endless": [dataclasses.asdict(row) for row in costs],
        "targets": [{**dataclasses.asdict(target), "met": target.met} for target in found],
        "facts": results.facts,
        "failures": results.failures,
    }


if __name__ == "__main__":
    sys.exit(main())
