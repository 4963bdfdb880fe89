# SPDX-License-Identifier: Apache-2.0
"""`klear quickstart`: the whole pipeline in miniature on this machine, stage by stage, each by its ordinary command.

A stage that is finished is not run again, and an interrupted one continues from its last checkpoint: the same command
goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from klear_verl.cpu import environment, fork_server
from klear_verl.errors import ConfigError, DataError
from klear_verl.quickstart.stages import NAMES, STAGES, QuickstartStage, last_line, write_summary
from klear_verl.quickstart.world import make_world
from klear_verl.utils import forked
from klear_verl.utils.processes import python_module
from klear_verl.utils.signals import on_stop

ALWAYS_AGAIN = ("eval", "report")
"""Stages that know by themselves what is done: an evaluation does again only what its models' weights ask for."""


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="klear quickstart", description="The whole pipeline in miniature: SFT, math RL, code RL, evaluation."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("quickstart-out"), help="where everything goes (default: quickstart-out)"
    )
    parser.add_argument("--stage", choices=NAMES, help="run this stage alone, on what the earlier ones left")
    parser.add_argument("--seed", type=int, default=0, help="of the tasks, the model and the sampling (default: 0)")
    parser.add_argument("--sft-steps", type=int, help="shorten SFT (tests)")
    parser.add_argument("--rl-steps", type=int, help="shorten both RL stages (tests)")
    options = parser.parse_args(argv)
    environment.apply()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    _check_seed(out, options.seed)
    os.environ["KLEAR_QUICKSTART"] = str(out)
    started = time.monotonic()
    _say(f"in {out}; seed {options.seed}")
    if make_world(out / "world", options.seed):
        _say(f"made the tasks, the tokenizer and a random model in {time.monotonic() - started:.0f} s")
    for number, stage in enumerate(STAGES, start=1):
        if options.stage not in (None, stage.name):
            continue
        if stage.name == "report" and (out / "eval" / "result.json").is_file():
            write_summary(out, options.seed)
        if (out / stage.done_file).exists() and stage.name not in ALWAYS_AGAIN:
            _say(f"{number}/{len(STAGES)} {stage.name}: finished already")
            continue
        _say(f"{number}/{len(STAGES)} {stage.name}: {stage.does}")
        if status := _run(stage, out, options.seed, _shortened(stage, options), alone=options.stage is not None):
            _say(f"{stage.name} ended with status {status}; `klear quickstart --out {options.out}` continues from here")
            return status
    return _conclude(out, options, time.monotonic() - started)


def _conclude(out: Path, options: argparse.Namespace, total_s: float) -> int:
    if options.stage is None:
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        _say(f"report: {out / 'report.html'}   figures: {out / 'summary.json'}")
        _say(last_line(summary, total_s))
    return 0


def _run(stage: QuickstartStage, out: Path, seed: int, extra: list[str], *, alone: bool) -> int:
    """Runs a stage in a process group of its own, so that Ctrl-C reaches it once, through this process, as SIGTERM and
    SIGHUP do; then waits for its clean end."""
    forks = environment.on_cpu() and not alone and stage.name != "report"
    if forks and stage.name != "sft":
        forked.prepare(_load)
    command = python_module("klear_verl.cli", *stage.command(out, seed), *extra)
    process = subprocess.Popen(command, process_group=0, preexec_fn=forked.instead_of(command))
    with on_stop(lambda: process.send_signal(signal.SIGINT)):
        if forks:  # SFT computes on one core: what the later stages import is imported on another meanwhile
            forked.prepare(_load)
        return _exit_status(process.wait())


def _load() -> None:
    fork_server.load()
    from vllm import ModelRegistry

    # vLLM asks a process of its own what a kind of model can do, once per installation, and keeps the answer in a file.
    ModelRegistry.models["Qwen3ForCausalLM"].inspect_model_cls()


def _exit_status(code: int) -> int:
    return 128 - code if code < 0 else code


def _shortened(stage: QuickstartStage, options: argparse.Namespace) -> list[str]:
    steps = {"sft": options.sft_steps, "math_rl": options.rl_steps, "code_rl": options.rl_steps}.get(stage.name)
    return [f"trainer.total_training_steps={steps}"] if steps else []


def _check_seed(out: Path, seed: int) -> None:
    """One folder holds one seed's world and runs."""
    world = out / "world" / "world.json"
    if world.is_file():
        try:
            there = int(json.loads(world.read_text(encoding="utf-8"))["seed"])
        except (ValueError, KeyError) as error:
            raise DataError(f"{world} is damaged: {error}", f"remove {world.parent}") from error
        if there != seed:
            raise ConfigError(
                f"{out} holds a quickstart with seed {there}, not {seed}", f"give --seed {there}, or another --out"
            )


def _say(text: str) -> None:
    print(f"klear quickstart: {text}", flush=True)
