# SPDX-License-Identifier: Apache-2.0
"""Configuration of the GPPO policy loss, as verl's workers receive it.

The clip range is not here: it is the actor's own `clip_ratio_low`, `clip_ratio_high` (0.2 and 0.28 in the paper) and
`clip_ratio_c`, which every policy loss of verl shares. `ClipRange` reads and checks them.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from verl.workers.config import PolicyLossConfig

from klear_verl.algorithm.options import DualClip, GPPOOptions
from klear_verl.errors import ConfigError

_PREFIX = "actor_rollout_ref.actor"


@dataclass
class GPPOLossConfig(GPPOOptions, PolicyLossConfig):
    """verl's policy loss options plus GPPO's own. The defaults are the paper's (arXiv 2508.07629, Eq. 11 and 12).

    Select it with `actor_rollout_ref.actor.policy_loss._target_=klear_verl.algorithm.GPPOLossConfig`; with
    `loss_mode=gppo` alone, verl keeps its own class and the defaults below apply.

    Args:
        loss_mode: the registered loss. `vanilla` and `cispo` also work with this class, for comparisons.
        beta1: scales value and gradient where δ < 1-ε_l and Ã < 0 (Eq. 17, 18). CE-GPPO (arXiv 2509.20712) uses 0.75
            for its 7B model and 0.5 for its 1.5B model.
        beta2: scales value and gradient where δ > 1+ε_h and Ã > 0 (Eq. 17, 18).
        dual_clip: what happens where Ã < 0 and δ > c = `clip_ratio_c`. "off": nothing, as in the paper.
            "zero_grad": the value is bounded by c·Ã and the gradient is 0, as in the released recipes (c = 10).
            "preserve": the value is bounded by c·Ã and the gradient keeps the factor c.
        positive_lm_coef: weight of the language-model loss on correct rollouts (Eq. 14; 0.1 in the paper). That term
            needs the whole batch, which a policy loss never sees: anything but 0 asks for a trainer that adds it.

    Raises:
        ConfigError: a value outside its range; names the key.
    """

    # verl's configurations are frozen but for what is named here; __post_init__ reads YAML's `off`.
    _mutable_fields = PolicyLossConfig._mutable_fields | {"dual_clip"}

    loss_mode: str = "gppo"

    def __post_init__(self) -> None:
        if self.dual_clip is False:
            self.dual_clip = "off"  # YAML 1.1 reads a bare `off` as false
        if self.dual_clip not in get_args(DualClip):
            raise ConfigError(
                f"{_PREFIX}.policy_loss.dual_clip: {self.dual_clip!r} is not a way to clip",
                f"use one of {', '.join(get_args(DualClip))}",
            )
        for name in ("beta1", "beta2", "positive_lm_coef"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                raise ConfigError(f"{_PREFIX}.policy_loss.{name}: {value!r} is not a finite number ≥ 0", "correct it")

    @classmethod
    def from_policy_loss(cls, policy_loss: Mapping[str, Any]) -> "GPPOLossConfig":
        """Returns `policy_loss` itself if it is one of ours, else its GPPO fields, with defaults for those absent."""
        if isinstance(policy_loss, cls):
            return policy_loss
        defaults = dataclasses.asdict(GPPOOptions())
        return cls(**{name: policy_loss.get(name, default) for name, default in defaults.items()})


@dataclass(frozen=True)
class ClipRange:
    """The band of ratios that PPO leaves alone, [1-low, 1+high], and the dual-clip bound c (None: dual clip is off)."""

    low: float
    high: float
    c: float | None = None

    @classmethod
    def from_actor(cls, actor: Any, dual_clip: DualClip) -> "ClipRange":
        """As `unchecked`, for GPPO.

        Raises:
            ConfigError: a bound that leaves no band, or c ≤ 1 while dual clip is on.
        """
        low, high, c = dataclasses.astuple(cls.unchecked(actor, dual_clip))
        if not 0 <= low <= 1:
            raise ConfigError(f"{_PREFIX}.clip_ratio_low: {low!r} is not within [0, 1]", "the paper uses 0.2")
        if not 0 <= high < math.inf:
            raise ConfigError(f"{_PREFIX}.clip_ratio_high: {high!r} is not a finite number ≥ 0", "the paper uses 0.28")
        if c is not None and not 1 < c < math.inf:
            raise ConfigError(
                f"{_PREFIX}.clip_ratio_c: {c!r} is not above 1, but policy_loss.dual_clip={dual_clip} bounds δ by it",
                "use 10, as the released recipes do, or dual_clip=off",
            )
        return cls(low, high, c)

    @classmethod
    def unchecked(cls, actor: Any, dual_clip: DualClip) -> "ClipRange":
        """Reads the band from verl's actor config, as `vanilla` does: `clip_ratio` stands in for a missing side. Other
        losses have conventions of their own (CISPO's `clip_ratio_low=10`: no lower bound)."""
        low = actor.clip_ratio if actor.clip_ratio_low is None else actor.clip_ratio_low
        high = actor.clip_ratio if actor.clip_ratio_high is None else actor.clip_ratio_high
        return cls(low, high, None if dual_clip == "off" else actor.get("clip_ratio_c", 3.0))
