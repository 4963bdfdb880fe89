# SPDX-License-Identifier: Apache-2.0
"""The battery with the four kinds of privileges: root or an ordinary user, with user namespaces or without.

`python -m tests.judge.attacks.privileges [--json FILE] [--only TEXT]` prints a line per case. What this machine does
not allow is said and left out: an ordinary user can't become root, and where namespaces are denied already, nothing
allows them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_CLONE_NEWUSER = 0x10000000
_USER = 1000
_LONGEST_S = 1800  # far more than it takes, on a busy machine too


@dataclass(frozen=True)
class Case:
    """`options` are run_as.py's."""

    name: str
    root: bool
    namespaces: bool

    @property
    def options(self) -> list[str]:
        user = [] if self.root or os.geteuid() != 0 else ["--user", str(_USER)]
        return user if self.namespaces else [*user, "--deny-namespaces"]


CASES = (
    Case("root, namespaces allowed", root=True, namespaces=True),
    Case("root, namespaces denied", root=True, namespaces=False),
    Case("user, namespaces allowed", root=False, namespaces=True),
    Case("user, namespaces denied", root=False, namespaces=False),
)


def impossible(case: Case) -> str:
    """Why this machine can't run a case; "" if it can."""
    if case.root and os.geteuid() != 0:
        return "needs root"
    if case.namespaces and not _namespaces_allowed(case):
        return "namespaces are denied here"
    if case.options[:1] == ["--user"]:
        done = subprocess.run(
            _command(case, [sys.executable, "-c", "import klear_verl"]), capture_output=True, text=True
        )
        return done.stderr.strip()[-300:] if done.returncode else ""
    return ""


def _namespaces_allowed(case: Case) -> bool:
    code = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare({_CLONE_NEWUSER}) != 0)"
    return subprocess.run(_command(case, [sys.executable, "-c", code]), capture_output=True).returncode == 0


def _command(case: Case, command: list[str]) -> list[str]:
    return [sys.executable, "-B", str(_HERE / "run_as.py"), *case.options, *command]


def run(case: Case, *options: str) -> dict[str, Any]:
    """The results of `summary.py`, with these options, in this case.

    Raises:
        RuntimeError: it has no results.
    """
    with tempfile.TemporaryDirectory(prefix="privileges-") as folder:
        os.chmod(folder, 0o777)
        results = Path(folder) / "results.json"
        summary = [sys.executable, "-B", "-m", "tests.judge.attacks.summary", "--json", str(results), *options]
        done = subprocess.run(
            _command(case, summary), capture_output=True, text=True, timeout=_LONGEST_S, cwd=_HERE.parents[2]
        )
        if not results.exists():
            raise RuntimeError(f"{case.name}: exit status {done.returncode}: {done.stderr[-2000:]}")
        return dict(json.loads(results.read_text()))


def line(case: Case, results: dict[str, Any]) -> str:
    """One case in one line."""
    numbers = []
    for kind in ("attacks", "idioms"):
        counts = [group for groups in results[kind].values() for group in groups.values()]
        programs, accepted, errors = (
            sum(c[key] for c in counts) for key in ("programs", "accepted", "internal_errors")
        )
        numbers.append(f"{accepted} of {programs} {kind} accepted, {errors} IE")
    left = "nothing left" if not results["leaks"] else f"left: {results['leaks']}"
    layers = len(results["layers"])
    return f"{case.name:<26}{layers:>3} layers; {'; '.join(numbers)}; {left}; {results['seconds']} s"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the results of all cases there")
    parser.add_argument("--only", default="", help="only programs with this in their class or name")
    options = parser.parse_args()
    all_results = {}
    for case in CASES:
        reason = impossible(case)
        if reason:
            print(f"{case.name:<26}not run: {reason}")
            continue
        results = all_results[case.name] = run(case, "--only", options.only)
        print(line(case, results), *(f"  FLAW {flaw}" for flaw in results["flaws"]), sep="\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(all_results, indent=1))
    return 1 if any(results["flaws"] for results in all_results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
