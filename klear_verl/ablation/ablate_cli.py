# SPDX-License-Identifier: Apache-2.0
"""`klear ablate SPEC [--out DIR] [--jobs N] [--dry-run]`: a grid of arms and seeds, one `klear train` each.

Exit status: 0 every run is finished; 1 some are not; 2 refused before the start; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from klear_verl.ablation.plan import (
    AblationSpec,
    PlannedArm,
    PlannedRun,
    check_arms,
    check_start_model,
    find_spec,
    load_spec,
    plan_arms,
    plan_runs,
    spec_names,
)
from klear_verl.ablation.runner import Record, Runner, RunStatus
from klear_verl.cpu import environment
from klear_verl.errors import KlearError
from klear_verl.launch.run_dir import RunDir
from klear_verl.utils.locks import FolderLock
from klear_verl.utils.processes import python_module
from klear_verl.utils.progress import ProgressLine


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="klear ablate",
        description="Train the variants of a comparison, each with several seeds; `klear report DIR` draws it.",
        epilog=f"packaged specs: {', '.join(spec_names())}",
    )
    parser.add_argument("spec", metavar="SPEC", help="a packaged spec's name, or the path of a YAML file")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/ablations"),
        help="where everything goes; specs with the same one share the runs they have in common (default: %(default)s)",
    )
    parser.add_argument("--jobs", type=_positive, default=1, help="runs at a time (default: 1)")
    parser.add_argument(
        "--submit",
        metavar="ADDRESS",
        help="run each as a job of the Ray cluster whose dashboard is there (http://HEAD:8265)",
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, list the runs, and start none")
    options = parser.parse_args(argv)
    environment.apply()
    try:
        spec = load_spec(find_spec(options.spec))
        arms = plan_arms(spec)
        runs = plan_runs(spec, arms, options.out)
        if options.dry_run:
            print(_plan(spec, runs, options.out))
        if options.dry_run or not all(run.is_finished for run in runs):
            check_start_model(spec, arms)
            if not options.submit:  # a cluster's machines are not this one: there each run makes its own checks
                _apart(check_arms, arms)
        if options.dry_run:
            return 0
        return run_grid(spec, arms, options.out, options.jobs, train_command(options.submit))
    except KlearError as error:
        print(f"klear ablate: {error}", file=sys.stderr)
        return 2


def _apart(check: Callable[[Sequence[PlannedArm]], None], arms: Sequence[PlannedArm]) -> None:
    """Calls `check` in a process of its own: the tokenizer's library, 0.4 GB, is not to stay for as long as the grid
    lasts."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(check, arms).result()


def train_command(submit: str | None = None) -> list[str]:
    """`klear train`, here or as a job of the cluster at `submit`."""
    train = python_module("klear_verl.cli", "train")
    return python_module("klear_verl.ablation.ray_job", submit, *train) if submit else train


def run_grid(
    spec: AblationSpec,
    arms: Sequence[PlannedArm],
    out: Path,
    jobs: int,
    command: Sequence[str],
) -> int:
    """Runs what is not finished yet, by `command` (see Runner), and says how it went; returns the exit status.

    Raises:
        EnvironmentProblem: another `klear ablate` is at work in `out`.
        DataError: a record in `out` is damaged.
    """
    with FolderLock(out, "choose another --out"):
        runs = plan_runs(spec, arms, out)
        record = Record(out, spec, runs)
        interrupted = _run(spec, runs, jobs, record, command)
    print(_outcome(runs, record, out))
    if interrupted:
        print("klear ablate: interrupted; the same command continues", file=sys.stderr)
        return 130
    return 0 if all(record.status(run) == "finished" for run in runs) else 1


def _run(spec: AblationSpec, runs: Sequence[PlannedRun], jobs: int, record: Record, command: Sequence[str]) -> bool:
    """Runs what is not finished, with a progress line; returns whether it was interrupted."""
    waiting = [run for run in runs if record.status(run) != "finished"]
    if not waiting:
        return False
    line = ProgressLine(label=spec.name)
    line.phase(f"{len(runs)} runs, {len(runs) - len(waiting)} of them finished already")
    places = {run.directory: f"{number}/{len(runs)} {run.title}" for number, run in enumerate(runs, start=1)}

    def show(run: PlannedRun, text: str) -> None:
        line.phase(f"{places[run.directory]}: {text}")

    def record_status(run: PlannedRun, status: RunStatus, detail: str | None) -> None:
        record.set(run, status, detail)
        if status != "running":
            line.close(f"{places[run.directory]}: {status}")

    try:
        Runner(command, show, record_status).run(waiting, jobs)
    except KeyboardInterrupt:
        return True
    return False


def _plan(spec: AblationSpec, runs: Sequence[PlannedRun], out: Path) -> str:
    arms = {run.arm.name: run.arm for run in runs}
    lines = [f"{spec.name}: {spec.title}", f"{len(arms)} arms x {len(spec.seeds)} seeds in {out}", ""]
    for arm in arms.values():
        own = arm.overrides[len(spec.overrides) :]
        lines.append(f"{arm.name} [{arm.digest}] {arm.recipe} {' '.join(own)}".rstrip())
    rows = [[*_names(run), "finished" if run.is_finished else "to run", str(run.directory)] for run in runs]
    return "\n".join([*lines, "", _table(["arm", "seed", "status", "directory"], rows)])


def _outcome(runs: Sequence[PlannedRun], record: Record, out: Path) -> str:
    rows = []
    for run in runs:
        found = RunDir(run.directory).previous()
        steps, wall = (str(found.steps), f"{found.wall_s:.0f} s" if found.wall_s else "") if found else ("", "")
        rows.append([*_names(run), record.status(run), steps, wall, str(run.directory)])
    text = _table(["arm", "seed", "status", "steps", "time", "directory"], rows)
    for run in runs:
        if record.status(run) == "failed":
            text += f"\n{run.title} failed: {record.detail(run)}"
    finished = sum(record.status(run) == "finished" for run in runs)
    again = "" if finished == len(runs) else "; the same command tries the others again"
    return f"{text}\n{finished} of {len(runs)} runs finished{again}. Pictures: klear report {out} --out report.html"


def _names(run: PlannedRun) -> list[str]:
    return [run.arm.name, str(run.seed)]


def _table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
