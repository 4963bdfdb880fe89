# SPDX-License-Identifier: Apache-2.0
"""The maths of the method: the GPPO policy loss, what it logs, and its configuration.

Importing the package imports nothing of verl: the names below are loaded when first used, because verl's loss
registry pulls in a second of transformers that a plugin must not charge to every `import verl`.
It holds no trainer, no reward and no data code.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from klear_verl.algorithm.clip_regions import region_means, region_sums, token_ratios
    from klear_verl.algorithm.config import ClipRange, GPPOLossConfig
    from klear_verl.algorithm.derivative import differentiate_once
    from klear_verl.algorithm.gppo import compute_policy_loss_gppo, gppo_loss
    from klear_verl.algorithm.positive_lm import positive_lm_loss

_HOME = {
    "ClipRange": "config",
    "GPPOLossConfig": "config",
    "compute_policy_loss_gppo": "gppo",
    "differentiate_once": "derivative",
    "gppo_loss": "gppo",
    "positive_lm_loss": "positive_lm",
    "region_means": "clip_regions",
    "region_sums": "clip_regions",
    "token_ratios": "clip_regions",
}
__all__ = [
    "ClipRange",
    "GPPOLossConfig",
    "compute_policy_loss_gppo",
    "differentiate_once",
    "gppo_loss",
    "positive_lm_loss",
    "region_means",
    "region_sums",
    "token_ratios",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
