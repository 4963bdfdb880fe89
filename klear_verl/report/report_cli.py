# SPDX-License-Identifier: Apache-2.0
"""`klear report RUN_DIR… --out report.html`: arguments, errors, and writing the file. The page itself is page.py's."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from klear_verl.errors import EnvironmentProblem, KlearError
from klear_verl.utils.files import write_text

NEEDED = ("matplotlib", "jinja2")


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `klear report`."""
    parser = argparse.ArgumentParser(
        prog="klear report",
        description="Pictures of runs and evaluations in one HTML file that needs no network.",
    )
    parser.add_argument(
        "directories", nargs="+", type=Path, metavar="RUN_DIR", help="directory of a run, an evaluation or a quickstart"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), help="the file to write (default: %(default)s)"
    )
    parser.add_argument("--title", default="Klear report", help="headline of the page (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; 0 if the report was written, 2 if not (the message is on standard error)."""
    arguments = build_parser().parse_args(argv)
    try:
        make_report(arguments.directories, arguments.out, arguments.title)
    except KlearError as error:
        print(f"klear report: {error}", file=sys.stderr)
        return 2
    size = arguments.out.stat().st_size / 1024
    print(f"{arguments.out} ({size:.0f} KiB)")
    return 0


def make_report(directories: Sequence[Path], out: Path, title: str = "Klear report") -> None:
    """Writes the report of `directories` to `out`, whole or not at all.

    Raises:
        EnvironmentProblem: matplotlib or jinja2 is missing, or `out` can't be written.
        DataError: a directory is missing or holds nothing reportable, or a file in it is corrupt.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentProblem(
            f"reports need {' and '.join(missing)}, which is not installed", "pip install 'klear-verl[report]'"
        )
    # Only now: a machine without the extra gets the message above, not a traceback.
    from klear_verl.report.page import render
    from klear_verl.report.sources import discover

    _write_page(out, render(discover(directories), title))


def _write_page(out: Path, text: str) -> None:
    """
    Raises:
        EnvironmentProblem: `out` is a directory, or its directory can't be made or written to.
    """
    if out.is_dir():
        raise EnvironmentProblem(f"--out {out}: is a directory", "name a file, such as report.html")
    try:
        write_text(out, text)
    except OSError as error:
        raise EnvironmentProblem(
            f"--out {out}: cannot be written ({error.strerror})", "choose a place that you may write to"
        ) from error
