# SPDX-License-Identifier: Apache-2.0
"""The maths of the method: the GPPO policy loss, what it logs, and its configuration.

Importing the package imports nothing of verl: the names below are loaded when first used, because verl's loss
registry pulls in a second of transformers that a plugin must not charge to every `import verl`.
It holds no trainer, no reward and no data code.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "GPPOLossConfig": "config",
    "compute_policy_loss_gppo": "gppo",
    "gppo_loss": "gppo",
    "positive_lm_loss": "positive_lm",
    "region_sums": "clip_regions",
}
__all__ = ["GPPOLossConfig", "compute_policy_loss_gppo", "gppo_loss", "positive_lm_loss", "region_sums"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
