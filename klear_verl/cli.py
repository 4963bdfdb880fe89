# SPDX-License-Identifier: Apache-2.0
"""The `klear` command: one line of help per command, each handed to its room."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable

from klear_verl.errors import KlearError

COMMANDS = {
    "quickstart": ("klear_verl.quickstart.quickstart_cli", "the whole pipeline in miniature on this machine"),
    "train": ("klear_verl.launch.launcher:train", "RL with verl from a recipe"),
    "sft": ("klear_verl.launch.launcher:sft", "supervised fine-tuning with verl's trainer from a recipe"),
    "score": ("klear_verl.scoring.cli", "score responses exactly as training would"),
    "eval": ("klear_verl.evaluation.eval_cli", "benchmark a model: avg@n and pass@k with intervals"),
    "ablate": ("klear_verl.ablation.ablate_cli", "train the variants of a comparison, each with several seeds"),
    "report": ("klear_verl.report.report_cli", "one HTML page of pictures from runs and evaluations"),
    "doctor": ("klear_verl.doctor.command", "what works on this machine, which layer is missing, what to do"),
}


def entry_point(target: str) -> Callable[[list[str]], int]:
    """The function that `module:function` names, or `module` for its `main`."""
    module, _, function = target.partition(":")
    found: Callable[[list[str]], int] = getattr(importlib.import_module(module), function or "main")
    return found


def usage() -> str:
    """The help text."""
    lines = "\n".join(f"  {name:<11} {text}" for name, (_, text) in COMMANDS.items())
    return f"usage: klear COMMAND …\n\n{lines}\n\n`klear COMMAND --help` says more."


def main(argv: list[str] | None = None) -> int:
    """Entry point of the console script; returns the exit status (0 done, 1 failed, 2 refused, 130 interrupted)."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from klear_verl import __version__

        print(__version__)
        return 0
    if arguments[0] not in COMMANDS:
        print(f"klear: unknown command '{arguments[0]}'\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        status = int(entry_point(COMMANDS[arguments[0]][0])(arguments[1:]))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `klear … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is None:
            raise
        print(f"klear: {error.filename}: {error.strerror}\n  remedy: name another place, or free it", file=sys.stderr)
        return 2
    except KlearError as error:
        print(f"klear: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("klear: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
