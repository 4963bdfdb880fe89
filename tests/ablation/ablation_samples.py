# SPDX-License-Identifier: Apache-2.0
"""Specs, arms that nobody had to compose, and a stand-in for `klear train`: a real process that takes its arguments,
leaves a finished run's record, and does on request what runs do: fail, last, wait for another."""

import sys
from pathlib import Path

from omegaconf import OmegaConf

from klear_verl.ablation.plan import AblationSpec, PlannedArm

TRAIN = """
import json, os, sys, time
from pathlib import Path

recipe, *overrides = sys.argv[1:]
values = dict(override.split("=", 1) for override in overrides)
run_dir = Path(json.loads(values["klear.run_dir"]))
run_dir.mkdir(parents=True, exist_ok=True)
out = run_dir.parents[1]
with (out / "calls.txt").open("a") as calls:
    calls.write(run_dir.name + "\\n")
record = {"kind": "rl", "recipe": recipe, "seed": int(values["data.seed"]), "versions": {}, "started": "now"}
print("[math_rl 0:01] step 1/2  reward +0.5", flush=True)
if (out / f"{run_dir.name}.lasts").exists():
    time.sleep(60)
if (out / f"{run_dir.name}.fails").exists():
    sys.exit("klear: the run failed: MemoryError: no room\\n  remedy: make room")
if (out / "in_pairs").exists():
    deadline = time.monotonic() + 120
    while len((out / "calls.txt").read_text().splitlines()) % 2:
        if time.monotonic() > deadline:
            sys.exit("alone")
        time.sleep(0.01)
(run_dir / "run.json").write_text(json.dumps({**record, "wall_s": 1.5, "status": "finished", "steps": 2}))
"""

SPEC = """\
name: sample
title: A sample
recipe: quickstart/math_rl
overrides: [trainer.total_training_steps=2]
seeds: [0, 1]
arms:
  gppo: {}
  vanilla: {overrides: [actor_rollout_ref.actor.policy_loss.loss_mode=vanilla]}
"""


def write_spec(path: Path, text: str = SPEC) -> Path:
    """`text` as spec.yaml in the folder `path`."""
    (path / "spec.yaml").write_text(text)
    return path / "spec.yaml"


def sample_spec(**changes: object) -> AblationSpec:
    """A spec of two arms, x and y, and seeds 0 and 1."""
    values = {"name": "sample", "title": "A sample", "recipe": "any", "seeds": (0, 1), "arms": {"x": {}, "y": {}}}
    return AblationSpec.model_validate({**values, **changes})


def sample_arm(name: str, digest: str) -> PlannedArm:
    """An arm that the stand-in can run."""
    return PlannedArm(name, "any", (), digest, OmegaConf.create({}))


def sample_arms() -> list[PlannedArm]:
    """The arms of `sample_spec`."""
    return [sample_arm("x", "1111111111"), sample_arm("y", "2222222222")]


def train_command(folder: Path) -> list[str]:
    """The stand-in as a command."""
    script = folder / "train.py"
    script.write_text(TRAIN)
    return [sys.executable, str(script)]


def calls(out: Path) -> list[str]:
    """The names of the runs that were started, in order."""
    return (out / "calls.txt").read_text().split()
