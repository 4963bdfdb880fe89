# SPDX-License-Identifier: Apache-2.0
"""A copy of the installed verl, laid out as its repository, and patches from upstream/ applied to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
UPSTREAM = REPOSITORY / "upstream"
# What a wheel lacks (docs/index.rst, examples/README.md) is only in verl's repository.
IN_THE_WHEEL = ("verl/*", "tests/*", "examples/gppo_trainer/*", "docs/algo/*")


def copy_verl(root: Path) -> None:
    """The installed verl, unpatched, as `root`/verl."""
    spec = find_spec("verl")
    assert spec is not None and spec.submodule_search_locations
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(spec.submodule_search_locations[0], root / "verl", ignore=without_caches)


def git_apply(root: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`git apply` of one patch, by its name in upstream/; raises nothing."""
    # As if outside any repository, wherever the temporary folder lies: inside one, git skips the files of others.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)}
    include = [f"--include={pattern}" for pattern in IN_THE_WHEEL]
    command = ["git", "apply", *options, *include, str(UPSTREAM / name)]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def run_inside(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in `root`, where `import verl` finds the copy, without klear_verl's plugin; raises nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VERL_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**kept, "PYTHONPATH": os.pathsep.join([str(root), str(REPOSITORY)]), "VERL_USE_EXTERNAL_PLUGINS": "none"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
