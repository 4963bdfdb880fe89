# SPDX-License-Identifier: Apache-2.0
"""Runs tens of thousands of solutions through one judge, and watches what grows.

Most are trivial; a steady share crashes, floods, runs out of memory or time, or tries to leave files, shared memory
and processes behind (`judge_bench/soak_programs.py`). Between batches, when nothing runs: resident and proportional
memory of the supervisor and of each zygote, descriptors, processes, files. Every verdict is compared with the one that
the program must get.

    python benchmarks/judge_soak.py --runs 50000 --json soak.json --picture docs/assets/judge-soak.svg \
        --markdown docs/judge_benchmarks.md

Exit status 1 if a verdict differs, something is left behind, memory grows by more than `--growth-mib` between the
second and the last fifth of the run, or descriptors or processes grow at all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import psutil
from judge_bench import machine, tables
from judge_bench.growth import growth
from judge_bench.sampling import Moment, Sampler
from judge_bench.soak_picture import draw
from judge_bench.soak_programs import PROGRAMS, Program, endless_sequence

from klear_verl.judge import Judge, JudgeConfig, Limits

LIMITS = Limits(cpu_s=2.0, wall_s=4.0, memory_mib=1024, stdout_mib=1.0)
TIER_MIB = 60.0
"""The most that a zygote may hold."""


def main() -> int:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description="a long run of the judge, watched")
    parser.add_argument("--runs", type=int, default=50_000, help="solutions")
    parser.add_argument("--slots", type=int, default=len(machine.cores_in_use()), help="solutions at once")
    parser.add_argument("--samples", type=int, default=100, help="how often to look")
    parser.add_argument("--growth-mib", type=float, default=2.0, help="allowed growth of each process")
    parser.add_argument("--json", type=Path, help="write all samples here")
    parser.add_argument("--picture", type=Path, help="draw the curves here (.svg or .png)")
    parser.add_argument("--markdown", type=Path, help="put the table into this page, between its soak markers")
    arguments = parser.parse_args()

    where = machine.facts()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        tempfile.tempdir = folder
        before = psutil.Process().num_fds()
        with Judge(JudgeConfig(slots=arguments.slots, limits=LIMITS)) as judge:
            where["layers"] = judge.layers
            moments, wrong = soak(judge, Sampler(Path(folder)), arguments.runs, arguments.samples, arguments.slots)
        faults = [f"{count} × {what}" for what, count in wrong.items()]
        faults += after_close(Path(folder), before)
    faults += grown(moments, arguments.growth_mib)

    content = report(moments, faults, where)
    print(content)
    if arguments.json:
        record = {"machine": where, "moments": [asdict(moment) for moment in moments], "faults": faults}
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.picture:
        draw(moments, arguments.picture)
    if arguments.markdown:
        tables.embed(arguments.markdown, "soak", content)
    return int(bool(faults))


def soak(judge: Judge, sampler: Sampler, runs: int, samples: int, slots: int) -> tuple[list[Moment], Counter[str]]:
    """Judges `runs` solutions. Returns what was seen in between, and the verdicts that were not as they must be."""
    wrong: Counter[str] = Counter()

    def judged(program: Program) -> str:
        judgement = judge.run(program.problem, program.source)
        if {str(verdict) for verdict in judgement.verdicts} != {program.verdict}:
            wrong[f"{program.name}: {judgement.verdicts[0]} ({judgement.detail[:200]})"] += 1
        return getattr(judgement, "tier", "std")

    with ThreadPoolExecutor(slots) as pool:
        for program in (program for program in PROGRAMS if program.name in ("right", "numpy", "sympy")):
            for tier in set(pool.map(judged, [program] * slots)):
                sampler.name_new(tier)
        started = time.monotonic()
        moments = [sampler.look(0, 0.0)]
        sequence = endless_sequence()
        batch = max(1, runs // samples)
        for done in range(0, runs, batch):
            size = min(batch, runs - done)
            for _ in pool.map(judged, itertools.islice(sequence, size)):
                pass
            moments.append(sampler.look(done + size, time.monotonic() - started))
    return moments, wrong


def grown(moments: list[Moment], allowed_mib: float) -> list[str]:
    """One line for everything that grew or was left."""
    faults = []
    for name, curve in memory_curves(moments).items():
        if growth(curve) > allowed_mib:
            faults.append(f"{name} grew by {growth(curve):.1f} MiB")
        if name != "supervisor" and max(curve) > TIER_MIB:
            faults.append(f"{name} held {max(curve):.0f} MiB, more than {TIER_MIB:.0f}")
    counts = {
        "descriptors": [moment.supervisor.descriptors or 0 for moment in moments],
        "threads": [moment.supervisor.threads for moment in moments],
        "processes": [moment.processes for moment in moments],
        "temporary files": [moment.temporary_files for moment in moments],
    }
    faults += [f"{name} grew by {growth(curve):.0f}" for name, curve in counts.items() if growth(curve) > 0]
    replaced = sorted(moments[0].zygotes.keys() - moments[-1].zygotes.keys())
    faults += [f"zygote {name} ended during the run" for name in replaced]
    return faults + sorted({f"left behind: {leak}" for moment in moments for leak in moment.leaks})


def memory_curves(moments: list[Moment]) -> dict[str, list[float]]:
    """Resident MiB over the run, of the supervisor and of each zygote that lived from beginning to end."""
    curves = {"supervisor": [moment.supervisor.rss_mib for moment in moments]}
    for name in moments[0].zygotes:
        held = [moment.zygotes[name].rss_mib for moment in moments if name in moment.zygotes]
        if len(held) == len(moments):
            curves[f"zygote {name}"] = held
    return curves


def after_close(folder: Path, descriptors_before: int) -> list[str]:
    """What a closed judge still holds."""
    me = psutil.Process()
    faults = [f"after close: process {child.pid} {child.cmdline()}" for child in me.children(recursive=True)]
    faults += [f"after close: {entry}" for entry in folder.iterdir()]
    left = me.num_fds() - descriptors_before
    return faults + ([f"after close: {left} descriptors more than before"] if left > 0 else [])


def report(moments: list[Moment], faults: list[str], where: dict[str, object]) -> str:
    """The figures as Markdown."""
    last = moments[-1]
    rows = []
    for name, curve in memory_curves(moments).items():
        rows.append([name, *(f"{value:.1f}" for value in (curve[0], curve[-1], max(curve))), f"{growth(curve):+.1f}"])
    rest = {
        "descriptors of the supervisor": [moment.supervisor.descriptors or 0 for moment in moments],
        "threads of the supervisor": [moment.supervisor.threads for moment in moments],
        "processes below it": [moment.processes for moment in moments],
    }
    for name, counts in rest.items():
        rows.append([name, str(counts[0]), str(counts[-1]), str(max(counts)), f"{growth(counts):+.0f}"])
    table = tables.table(["resident MiB, and counts", "first", "last", "highest", "growth"], rows)
    head = (
        f"{tables.machine_line(where)} {last.runs:,} solutions in {last.elapsed_s:.0f} s "
        f"({last.runs / last.elapsed_s:.0f}/s)."
    )
    verdict = "\n".join(f"- {fault}" for fault in faults) or "Nothing grew, nothing was left, every verdict was right."
    return f"{head}\n\n{table}\n\n{verdict}"


if __name__ == "__main__":
    sys.exit(main())
