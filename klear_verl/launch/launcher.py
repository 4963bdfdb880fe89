# SPDX-License-Identifier: Apache-2.0
"""`klear train` and `klear sft`: compose, check, run under supervision, record how it ended."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig, OmegaConf, open_dict

from klear_verl.cpu import environment
from klear_verl.errors import KlearError
from klear_verl.launch.compose import compose
from klear_verl.launch.estimate import estimate_lines
from klear_verl.launch.preflight.run import check_rl_config, check_sft_config
from klear_verl.launch.progress import RunProgress
from klear_verl.launch.recipes import recipe_names
from klear_verl.launch.run_dir import RunDir, RunRecord
from klear_verl.launch.supervise import RunFailed, supervise
from klear_verl.trainer import checkpoints
from klear_verl.utils.processes import python_module

Kind = Literal["rl", "sft"]


_USAGE = """usage: klear {command} RECIPE [hydra overrides…]

RECIPE     the name of a packaged recipe (quickstart/{example}, …) or the path of a YAML file
overrides  any key of verl's configuration, in Hydra's syntax: data.train_batch_size=64 klear.run_dir=runs/first
           `--cfg` prints the composed configuration and stops
"""


def train(argv: Sequence[str]) -> int:
    """`klear train RECIPE [overrides…]`: RL with verl, from a recipe; returns the exit status."""
    return launch("rl", argv, _USAGE.format(command="train", example="math_rl"))


def sft(argv: Sequence[str]) -> int:
    """`klear sft RECIPE [overrides…]`: supervised fine-tuning with verl's trainer; returns the exit status."""
    return launch("sft", argv, _USAGE.format(command="sft", example="sft"))


def launch(kind: Kind, argv: Sequence[str], usage: str) -> int:
    """Runs a recipe to its end.

    Returns:
        0 finished, 1 failed while running, 2 refused before the start, 130 interrupted.
    """
    environment.apply()
    if not argv or {"-h", "--help"} & set(argv):
        print(f"{usage}\nrecipes: {', '.join(recipe_names(kind))}")
        return 0 if argv else 2
    recipe, *overrides = argv
    show_only = "--cfg" in overrides
    try:
        config = compose(recipe, [o for o in overrides if o != "--cfg"], kind=kind)
        if show_only:
            print(OmegaConf.to_yaml(config))
            return 0
        run_dir = RunDir(_choose_run_dir(config, recipe))
        earlier = run_dir.previous()
        if earlier:
            run_dir.refuse_another_configuration(config)
        if earlier and run_dir.made_all(config.trainer.total_training_steps):
            print(
                f"{run_dir.path} is finished already ({earlier.steps} steps); another klear.run_dir starts a new run",
                file=sys.stderr,
            )
            run_dir.link_model()  # the attempt that finished may have been killed right before this
            return 0
        check_rl_config(config) if kind == "rl" else check_sft_config(config)
        _settle_checkpoint_folder(config)
        print("\n  ".join(["klear: estimate, from formulas:", *estimate_lines(kind, config)]), file=sys.stderr)
        run_dir.start(RunRecord(kind=kind, recipe=recipe, seed=_seed(config, kind)), config)
    except KlearError as error:
        print(f"klear: {error}", file=sys.stderr)
        return 2
    return _run(kind, recipe, config, run_dir)


def _run(kind: Kind, recipe: str, config: DictConfig, run_dir: RunDir) -> int:
    line = RunProgress(label=recipe.split("/")[-1], total=config.trainer.total_training_steps)
    line.phase(f"starting; log in {run_dir.log_file}")
    try:
        supervise(_command(kind, config, run_dir), run_dir, line)
    except KeyboardInterrupt:
        run_dir.finish("interrupted", line.done)
        line.close("interrupted; the same command continues from the last checkpoint")
        return 130
    except RunFailed as error:
        run_dir.finish("failed", line.done)
        line.close("failed")
        print(f"klear: {error}", file=sys.stderr)
        return 1
    except BaseException:  # a full disk, a closed terminal: the record must not say "running" for ever
        run_dir.finish("failed", line.done)
        raise
    run_dir.link_model()
    record = run_dir.finish("finished", line.done)
    line.close(f"finished: {record.steps} steps in {record.wall_s:.0f} s, in {run_dir.path}")
    return 0


def _command(kind: Kind, config: DictConfig, run_dir: RunDir) -> list[str]:
    if kind == "rl":
        return python_module("klear_verl.launch.rl_driver", str(run_dir.path))
    processes = config.trainer.n_gpus_per_node
    torchrun = ["--standalone", f"--nproc-per-node={processes}"] if config.trainer.nnodes == 1 else _multi_node(config)
    return python_module("torch.distributed.run", *torchrun, "-m", "klear_verl.launch.sft_worker", str(run_dir.path))


def _multi_node(config: DictConfig) -> list[str]:
    """torchrun reads the rendezvous from its own PET_* variables, which the cluster script sets on each node."""
    return [f"--nnodes={config.trainer.nnodes}", f"--nproc-per-node={config.trainer.n_gpus_per_node}"]


def _choose_run_dir(config: DictConfig, recipe: str) -> str:
    """Absolute, because it is saved and handed to processes that stand elsewhere: workers of a Ray cluster that is
    joined, and a continuing command given from another folder."""
    fresh = f"runs/{Path(recipe).stem}-{datetime.now():%Y%m%d-%H%M%S}-{socket.gethostname()}"
    with open_dict(config):
        config.klear.run_dir = os.path.abspath(os.path.expanduser(config.klear.run_dir or fresh))
    return str(config.klear.run_dir)


def _settle_checkpoint_folder(config: DictConfig) -> None:
    """Absolute for the same reasons."""
    if (folder := checkpoints.folder_of(config)) is not None:
        config.trainer.default_local_dir = str(folder)


def _seed(config: DictConfig, kind: Kind) -> int:
    seed = config.trainer.seed if kind == "sft" else config.data.seed
    return 0 if seed is None else int(seed)
