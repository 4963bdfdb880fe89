# SPDX-License-Identifier: Apache-2.0
"""From a pass rate to a reward (paper, section 3 and its hard-reward ablation)."""

from __future__ import annotations

from typing import Literal

CodeShape = Literal["soft", "hard", "centered"]


def shape_pass_rate(pass_rate: float, shape: CodeShape) -> float:
    """The reward of a program that passes the share `pass_rate` of its tests.

    Args:
        pass_rate: passed tests / all tests, in [0, 1].
        shape: "soft" is p (the paper: 4 of 16 is 0.25); "centered" is 2p-1 (the released code: 4 of 16 is -0.5);
            "hard" is +1 when all
            tests pass and -1 otherwise (the ablation).
    """
    if shape == "soft":
        return pass_rate
    if shape == "centered":
        return 2.0 * pass_rate - 1.0
    return 1.0 if pass_rate == 1.0 else -1.0
