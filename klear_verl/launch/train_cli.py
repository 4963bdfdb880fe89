# SPDX-License-Identifier: Apache-2.0
"""`klear train RECIPE [overrides…]`: RL with verl, from a recipe."""

from __future__ import annotations

from collections.abc import Sequence

from klear_verl.cpu import environment
from klear_verl.launch.launcher import launch

USAGE = """usage: klear train RECIPE [hydra overrides…]

RECIPE     the name of a packaged recipe (quickstart/math_rl, …) or the path of a YAML file
overrides  any key of verl's configuration, in Hydra's syntax: data.train_batch_size=64 klear.run_dir=runs/first
           `--cfg` prints the composed configuration and stops
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns the exit status."""
    environment.apply()
    return launch("rl", argv, USAGE)
