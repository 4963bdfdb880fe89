# SPDX-License-Identifier: Apache-2.0
"""The command `klear score`: arguments in, exit status out. The work is in `score_file`.

Exit status: 0 every row was scored; 1 some were not (bad rows, or ungraded by a failure of ours); 2 wrong options or
files; 130 interrupted (the same command resumes).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from klear_verl.errors import ConfigError, KlearError
from klear_verl.reward.config import RewardConfig, reward_config
from klear_verl.scoring.score_file import score_file
from klear_verl.utils.config import closest

_OPTIONS = ("--out", "--jobs", "--strict", "--raw-code", "--overwrite", "--no-progress", "--reward.")
_PREFIX = "--reward."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `klear score`, all but `--reward.KEY=VALUE`, which `split_reward_options` takes out first."""
    parser.add_argument(
        "input", metavar="IN.jsonl", type=Path, help="rows: id, data_source, response, ground_truth[, extra_info]"
    )
    parser.add_argument(
        "--out", metavar="OUT.jsonl", type=Path, required=True, help="results, in the same order; resumes"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="rows scored at once (default: the CPUs that this process may use)",
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first bad row")
    parser.add_argument("--raw-code", action="store_true", help="take an answer without a code fence as the program")
    parser.add_argument("--overwrite", action="store_true", help="score anew instead of resuming OUT.jsonl")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")


def split_reward_options(argv: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Takes `--reward.a.b=VALUE` out of the arguments.

    Returns:
        (the other arguments, the values as nested containers). A VALUE is read as JSON where it is JSON, else as text.

    Raises:
        ConfigError: an option without a value, or a key given both a value and keys below it.
    """
    rest: list[str] = []
    values: dict[str, Any] = {}
    for argument in argv:
        if not argument.startswith(_PREFIX):
            rest.append(argument)
            continue
        key, equals, text = argument.removeprefix(_PREFIX).partition("=")
        if not key or not equals:
            raise ConfigError(f"{argument}: needs a value", "write it as in --reward.think=off")
        *parents, last = key.split(".")
        node: Any = values
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{argument}: {parent} already has a value of its own", "give one of the two")
        node[last] = _value(text)
    return rest, values


def main(argv: list[str] | None = None) -> int:
    """Runs `klear score` with the arguments after the command's name; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="klear score",
        description="Scores responses exactly as training would.",
        epilog="--reward.KEY=VALUE sets a key of the reward configuration, as in --reward.think=off or "
        "--reward.judge.limits.cpu_s=2 (docs/concepts/rewards.md lists them).",
    )
    add_arguments(parser)
    try:
        rest, values = split_reward_options(sys.argv[1:] if argv is None else argv)
        options, unknown = parser.parse_known_args(rest)
        if unknown:
            near = closest(unknown[0].partition("=")[0], _OPTIONS)
            parser.error(f"unknown option {unknown[0]}" + (f"; did you mean {near}?" if near else ""))
        if options.jobs < 1:
            parser.error(f"--jobs must be at least 1, not {options.jobs}")
        return _run(options, reward_config(values, where="reward"))
    except KlearError as error:
        print(f"klear score: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("klear score: interrupted; the same command resumes", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace, config: RewardConfig) -> int:
    if options.raw_code:
        config = config.model_copy(update={"raw_code": True})
    summary = score_file(
        options.input,
        options.out,
        config,
        jobs=options.jobs,
        strict=options.strict,
        overwrite=options.overwrite,
        progress=not options.no_progress,
    )
    print(f"{options.out}: {summary.line()}", file=sys.stderr)
    return 0 if summary.complete else 1


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
