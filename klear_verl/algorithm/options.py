# SPDX-License-Identifier: Apache-2.0
"""GPPO's own options and their defaults. Imports no verl, so that a recipe is composed without it; what verl's workers
receive is `config.GPPOLossConfig`."""

from dataclasses import dataclass
from typing import Literal

DualClip = Literal["off", "zero_grad", "preserve"]


@dataclass
class GPPOOptions:
    """The defaults are the paper's (arXiv 2508.07629, Eq. 11 and 12); `GPPOLossConfig` describes and checks them."""

    beta1: float = 1.0
    beta2: float = 1.0
    dual_clip: DualClip = "off"
    positive_lm_coef: float = 0.0
