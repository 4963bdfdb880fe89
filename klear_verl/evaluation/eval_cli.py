# SPDX-License-Identifier: Apache-2.0
"""`klear eval RECIPE [key=value …]`: the command line of the evaluation room.

Exit status: 0 every sample was graded; 1 the evaluation failed, or samples stayed ungraded; 2 wrong usage, or refused
before the start; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from klear_verl.cpu import environment
from klear_verl.errors import ConfigError, DataError, EnvironmentProblem, KlearError
from klear_verl.evaluation.config import EvalConfig
from klear_verl.launch.recipes import find_recipe
from klear_verl.utils.config import parse_config
from klear_verl.utils.locks import FolderLock
from klear_verl.utils.progress import say
from klear_verl.utils.signals import stop_as_interrupt


def main(argv: list[str]) -> int:
    """Runs `klear eval` with the arguments after that word; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="klear eval", description="Benchmark models: generate, grade, avg@n and pass@k."
    )
    parser.add_argument("recipe", help="a recipe's name, or the path of a YAML file")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="such as out=results sampling.temperature=1.0"
    )
    arguments = parser.parse_args(argv)
    environment.apply()
    try:
        with stop_as_interrupt():
            return _run(load_config(arguments.recipe, arguments.overrides))
    except (ConfigError, DataError, EnvironmentProblem) as error:
        say(f"klear eval: {error}")
        return 2
    except KlearError as error:
        say(f"klear eval: {error}")
        return 1
    except KeyboardInterrupt:
        say("klear eval: interrupted; what is finished is kept, and the same command continues from here")
        return 130


def load_config(recipe: str, overrides: list[str]) -> EvalConfig:
    """Reads a recipe, applies the overrides and checks the whole.

    Raises:
        ConfigError: the recipe does not exist or is not YAML, an override is not key=value, or a key is unknown,
        missing or ill-typed.
    """
    path = find_recipe(recipe)
    bad = [override for override in overrides if "=" not in override]
    if bad:
        raise ConfigError(f"'{bad[0]}' is not of the form key=value", "write overrides as in sampling.temperature=1.0")
    try:
        merged = OmegaConf.merge(OmegaConf.load(path), OmegaConf.from_dotlist(overrides))
        values = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", "correct the recipe or the override") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a mapping of keys", "see docs/commands/eval.md for a recipe")
    return parse_config(EvalConfig, {str(key): value for key, value in values.items()}, "")


def _run(config: EvalConfig) -> int:
    # The environment comes first: these modules lead to transformers and vLLM, which read it when they are imported.
    from klear_verl.evaluation.engine import VllmEngine, check_vllm, prepare_environment
    from klear_verl.evaluation.preflight import plan
    from klear_verl.evaluation.runner import evaluate
    from klear_verl.reward.scorer import Scorer

    prepare_environment(config.engine, environment.on_cpu())
    check_vllm()
    say("checking models, data and prompts")
    with FolderLock(Path(config.out), "choose another `out`"), Scorer(config.reward.with_jobs(config.jobs)) as scorer:
        tasks = plan(config)
        result = evaluate(config, tasks, VllmEngine(config.engine, config.sampling), scorer)
    return _report(config, result)


def _report(config: EvalConfig, result: dict[str, Any]) -> int:
    ungraded = 0
    for model in config.models:
        for benchmark in config.benchmarks:
            figures = result[model][benchmark.name]
            ungraded += figures["ungraded"]
            print(_line(model, benchmark.name, figures))
    print(f"written to {Path(config.out) / 'result.json'}")
    if ungraded:
        say(
            f"klear eval: {ungraded} samples could not be graded and are left out of the figures; the reasons are in "
            "the detail of each row of scores.jsonl\n"
            "  remedy: run the same command again, which grades only these; if it persists, try `klear doctor`"
        )
    return 1 if ungraded else 0


def _line(model: str, benchmark: str, figures: dict[str, Any]) -> str:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f} %"

    interval = figures["avg_at_n_ci95"]
    parts = [f"{model} on {benchmark}: avg@{figures['n']} {percent(figures['avg_at_n'])}"]
    if interval:
        parts.append(f"(95 %: {percent(interval[0])} to {percent(interval[1])})")
    best = max(figures["pass_at_k"], key=int)
    parts.append(f"pass@{best} {percent(figures['pass_at_k'][best])}")
    if figures["pass_rate"] is not None:
        parts.append(f"tests passed {percent(figures['pass_rate'])}")
    parts += [f"{what} {figures[what]}" for what in ("malformed", "truncated", "ungraded") if figures[what]]
    return ", ".join(parts).replace(", (", " (")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
