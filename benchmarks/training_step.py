# SPDX-License-Identifier: Apache-2.0
"""Times a training step of `klear_sync` against verl's own synchronous trainer, on one recipe, in one run.

The two alternate, each run a process of its own through `klear train`, with the same model, data, loss and reward.
Compared is verl's `timing_s/step` without each run's first steps; `gen` is apart, because verl's trainer waits there on
its poll of 2 s. Groups are kept, nothing is masked and α is 0, so that both train on the same number of rows.

    KLEAR_QUICKSTART=quickstart-out python benchmarks/training_step.py --steps 8 --rounds 2
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TRAINERS = ("sync", "klear_sync")
COMMON = (
    "klear.groups.mode=keep",
    "klear.overlong.mode=keep",
    "actor_rollout_ref.actor.policy_loss.positive_lm_coef=0",
    "reward.reward_kwargs.klear.on_ungraded=mask",
    "trainer.save_freq=-1",
)


def run(recipe: str, trainer: str, steps: int, folder: Path, overrides: list[str]) -> list[dict[str, float]]:
    """The metrics of each step of one run."""
    command = [sys.executable, "-m", "klear_verl.cli", "train", recipe, *COMMON, *overrides]
    command += [
        f"klear.run_dir={folder}",
        f"trainer.v1.trainer_mode={trainer}",
        f"trainer.total_training_steps={steps}",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line)["data"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="quickstart/math_rl")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--skip", type=int, default=2, help="first steps left out: processes are still importing")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("overrides", nargs="*", help="of the recipe, for both trainers")
    options = parser.parse_args()

    parts = ("step", "gen", "old_log_prob", "adv", "update_actor", "update_weights")
    seen: dict[str, dict[str, list[float]]] = {name: {part: [] for part in parts} for name in TRAINERS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.rounds):
            for name in TRAINERS:
                where = Path(folder) / f"{name}-{turn}"
                for metrics in run(options.recipe, name, options.steps, where, options.overrides)[options.skip :]:
                    for part in parts:
                        seen[name][part].append(metrics[f"timing_s/{part}"])
    print(f"{'median seconds':>16} {TRAINERS[0]:>10} {TRAINERS[1]:>10} {'ratio':>7}")
    result = {}
    for part in parts:
        theirs, ours = (statistics.median(seen[name][part]) for name in TRAINERS)
        result[part] = {TRAINERS[0]: theirs, TRAINERS[1]: ours, "ratio": ours / theirs}
        print(f"{part:>16} {theirs:>10.3f} {ours:>10.3f} {ours / theirs:>7.2f}")
    print(json.dumps({"steps": options.steps - options.skip, "rounds": options.rounds, "parts": result}))


if __name__ == "__main__":
    main()
