# SPDX-License-Identifier: Apache-2.0
"""The kill -9 log: kills every process of an RL run at several moments of a step, and continues with the same command.

One run is killed over and over. Each attempt goes on from the last checkpoint, trains one step, is stopped at a named
moment of the next (`kill_bench/moments`), loses one process to SIGKILL and must end by itself (a judge actor's death it
must survive). After the last kill an uninterrupted run of as many steps is made, and every checkpoint of both is
compared bit for bit.

    klear quickstart --out quickstart-out          # makes the model and the data
    KLEAR_QUICKSTART=quickstart-out python benchmarks/kill_matrix.py --out kills --markdown docs/concepts/resume.md

The same command goes on where it was itself interrupted. Exit status 1 if an attempt hung, succeeded, left a process or
shared memory behind, or a checkpoint differs.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from kill_bench.attempt import REPLACED, TRACKER, Attempt, Outcome, tracked_step
from kill_bench.checkpoints import differences, rollouts

CASES = (
    ("generation", "raylet"),
    ("generation", "gcs_server"),
    ("weight sync", "EngineCore"),
    ("weight sync", "WorkerDict"),
    ("generation", "klear train"),
    ("generation", "AgentLoopWorker"),
    ("generation", "TransferQueueController"),
    ("generation", "WorkerDict"),
    ("scoring", "RewardLoopWorker"),
    ("generation", "EngineCore"),
    ("generation", "vLLMHttpServer"),
    ("commit", "TaskRunner"),
    ("checkpoint", "WorkerDict"),
    ("generation", "SimpleStorageUnit"),
    ("weight sync", "vLLMHttpServer"),
    ("generation", "GlobalRequestLoadBalancer"),
    ("checkpoint", "klear train"),
    ("generation", "driver"),
    ("generation", "keeper"),
    ("update", "TaskRunner"),
    ("update", "raylet"),
    ("update", "RewardLoopWorker"),
    ("update", "AgentLoopWorker"),
    ("update", "EngineCore"),
    ("update", "TransferQueueController"),
    ("commit", "klear train"),
    ("weight sync", "klear train"),
    ("update", "WorkerDict"),
    ("scoring", "AgentLoopWorker"),
    ("generation", "RewardLoopWorker"),
    ("update", "vLLMHttpServer"),
    ("weight sync", "TaskRunner"),
    ("weight sync", "raylet"),
    ("update", "SimpleStorageUnit"),
    ("checkpoint", "driver"),
    ("update", "gcs_server"),
    ("generation", "TaskRunner"),
    ("checkpoint", "TaskRunner"),
    ("update", "klear train"),
    ("commit", "raylet"),
)
"""(moment, victim): those in which something is different at stake, the likely hangs first. The judge's actors are in
code RL only."""

CODE_CASES = (("scoring", "JudgeActor"), ("update", "JudgeActor"))
MARKERS = ("<!-- kill matrix: begin -->", "<!-- kill matrix: end -->")
HEAD = ("| killed | in | ended after | what it said |", "|---|---|---:|---|")
SHOWN = {
    "TaskRunner": "`TaskRunner`, the trainer",
    "WorkerDict": "`WorkerDict`, which trains",
    "vLLMHttpServer": "`vLLMHttpServer`, the rollout server",
    "EngineCore": "`VLLM::EngineCore`, its engine",
    "JudgeActor": "`JudgeActor`, in code RL",
}
"""How the table names those of which a reader may not know what they do."""

MANY_STEPS = 1000


def main() -> int:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description="kill -9 of every process of an RL run")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the runs and their traces")
    parser.add_argument("--recipe", default="quickstart/math_rl", help="with quickstart/code_rl, the judge is killed")
    parser.add_argument("--cases", default="", help="only the cases 'moment, victim' that match this expression")
    parser.add_argument("--patience-s", type=float, default=300.0, help="what counts as a hang")
    parser.add_argument("--start-s", type=float, default=1800.0, help="what counts as a run that does not start")
    parser.add_argument("--no-reference", action="store_true", help="kill only")
    parser.add_argument("--markdown", type=Path, help="bring the table on this page, between its markers, up to date")
    parser.add_argument("overrides", nargs="*", help="of the recipe")
    arguments = parser.parse_args()

    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    log = out / "kill-9.jsonl"
    cases = CODE_CASES if "code_rl" in arguments.recipe else CASES
    done = {(outcome.moment, outcome.victim) for outcome in _read(log)}
    for moment, victim in cases:
        if (moment, victim) in done or not re.search(arguments.cases, f"{moment}, {victim}"):
            continue
        number = len(list((out / "attempts").glob("*"))) + 1
        command = _command(arguments.recipe, out, "killed", MANY_STEPS, arguments.overrides)
        folder = out / "attempts" / f"{number:02}-{moment}-{victim}".replace(" ", "-")
        with Attempt(command, folder, out / "killed", moment) as attempt:
            attempt.wait_for_the_moment(arguments.start_s)
            outcome = attempt.kill(victim, arguments.patience_s)
        print(_line(outcome), flush=True)
        with log.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
    outcomes = _read(log)
    failed = [outcome for outcome in outcomes if not outcome.clean]
    print(f"{len(outcomes)} kills, {len(failed)} of them not clean")
    if arguments.markdown:
        _put(arguments.markdown, outcomes)
    equal = arguments.no_reference or _equals_an_uninterrupted_run(arguments, out)
    return 1 if failed or not equal else 0


def _command(recipe: str, out: Path, name: str, steps: int, overrides: Sequence[str]) -> list[str]:
    small = {
        "klear.run_dir": out / name,
        "data.train_batch_size": 4,
        "actor_rollout_ref.actor.ppo_mini_batch_size": 2,
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 8,
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": 8,
        # A rate that falls to the last step would depend on which step that is.
        "actor_rollout_ref.actor.optim.lr_scheduler_type": "constant",
        "actor_rollout_ref.rollout.n": 4,
        "trainer.save_freq": 1,
        "trainer.max_actor_ckpt_to_keep": "null",
        "trainer.rollout_data_dir": out / "rollouts" / name,
        "trainer.total_training_steps": steps,
        "trainer.total_epochs": MANY_STEPS,
    }
    values = [f"{key}={value}" for key, value in small.items()]
    return [sys.executable, "-m", "klear_verl.cli", "train", recipe, *values, *overrides]


def _equals_an_uninterrupted_run(arguments: argparse.Namespace, out: Path) -> bool:
    """Finishes the killed run, makes one from the same first checkpoint without interruption, and compares all that
    they saved and sampled."""
    steps = tracked_step(out / "killed") + 1
    _begin_at_the_first_checkpoint(out / "killed", out / "uninterrupted")
    for name in ("killed", "uninterrupted"):
        command = _command(arguments.recipe, out, name, steps, arguments.overrides)
        with Attempt(command, out / "finishing" / f"{name}-{steps}", out / name) as attempt:
            if status := attempt.process.wait():
                raise RuntimeError(f"{name} ended with {status}:\n{attempt.output[-3000:]}")
    unequal = 0
    for step in range(2, steps + 1):
        folders = [out / name / "checkpoints" / f"global_step_{step}" for name in ("killed", "uninterrupted")]
        sampled = [rollouts(out / "rollouts" / name, step) for name in ("killed", "uninterrupted")]
        found = differences(*folders) + (["sampled responses"] if sampled[0] != sampled[1] else [])
        unequal += bool(found)
        if found:
            print(f"step {step}: {len(found)} differences, the first in {found[0]}")
    print(f"{steps - 1} checkpoints compared with those of an uninterrupted run: {unequal} differ")
    return unequal == 0


def _begin_at_the_first_checkpoint(run: Path, copy: Path) -> None:
    """The random state of a new run's workers is not seeded, so that two runs from nothing would differ in it."""
    first = "checkpoints/global_step_1"
    shutil.copytree(run / first, copy / first)
    (copy / TRACKER).write_text("1")


def _read(log: Path) -> list[Outcome]:
    return [Outcome(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def _line(outcome: Outcome) -> str:
    left = "; ".join([*outcome.left, *outcome.shared_memory]) or "nothing"
    return (
        f"{outcome.moment}, {outcome.victim}: from step {outcome.resumed_from}, killed in step {outcome.step}, status "
        f"{outcome.status} after {outcome.ended_s} s, left: {left}, checkpoint {outcome.checkpoint}; {outcome.message}"
    )


def _table(outcomes: Sequence[Outcome], published: str = "") -> str:
    """The published table, with the rows of these cases anew. Other rows stay: the judge's cases, another number of
    ranks and earlier days have logs of their own."""
    rows = {_case(line): line for line in published.splitlines() if line.startswith("| ") and line != HEAD[0]}
    new: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        new.setdefault((SHOWN.get(one.victim, f"`{one.victim}`"), one.moment), []).append(one)
    for (killed, moment), same in new.items():
        after = ", ".join(f"{one.ended_s:.0f} s" for one in same if one.victim not in REPLACED)
        said = "; ".join(dict.fromkeys(map(_said, same)))
        rows[killed, moment] = f"| {killed} | {moment} | {after} | {said} |"
    return "\n".join([*HEAD, *rows.values()])


def _case(row: str) -> tuple[str, str]:
    killed, moment = row.split("|")[1:3]
    return killed.strip(), moment.strip()


def _said(one: Outcome) -> str:
    """What the command said, without what differs from run to run, and what was not as it should be."""
    said = re.sub(r"^ActorDiedError: .* \((\w+)\)$", r"ActorDiedError: … (\1)", one.message)
    said = re.sub(r"\b(Actor\w+: The actor) \w+ (is unavailable).*", r"\1 … \2", said)
    said = re.sub(r"\(process \d+\)", "(process …)", said)
    said = re.sub(r"\bstep \d+: ", "", said).replace("|", "\\|")
    nothing = "nothing: another one took its place, and the run went on" if one.victim in REPLACED else "nothing"
    left = "; ".join([*one.left, *one.shared_memory]) or "nothing"
    return (said or nothing) + ("" if one.clean else f" (**not clean**: status {one.status}, left: {left})")


def _put(page: Path, outcomes: Sequence[Outcome]) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKERS[0])
    published, _, after = rest.partition(MARKERS[1])
    table = _table(outcomes, published)
    page.write_text(f"{before}{MARKERS[0]}\n{table}\n{MARKERS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
