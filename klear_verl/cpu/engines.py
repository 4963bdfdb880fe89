# SPDX-License-Identifier: Apache-2.0
"""verl's FSDP engines for device "cpu": the stock ones, registered, with the three steps of their construction that
assume an accelerator changed."""

from __future__ import annotations

from typing import Any

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

from klear_verl import patches


class _OnCpu:
    """What both engines need."""

    def _build_fsdp_module(self, module: Any) -> Any:
        # A forward-only engine (the reference model) is built with CPU offloading into pinned memory, which needs an
        # accelerator, and offloading from CPU to CPU is meaningless. The engine configuration is frozen, so the flag
        # is lifted for the build alone.
        config = self.engine_config  # type: ignore[attr-defined]
        forward_only = config.forward_only
        object.__setattr__(config, "forward_only", False)
        try:
            with patches.fsdp1_accepts_cpu_modules():
                return super()._build_fsdp_module(module)  # type: ignore[misc]
        finally:
            object.__setattr__(config, "forward_only", forward_only)


@EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device="cpu")
class CpuFSDPEngineWithLMHead(_OnCpu, FSDPEngineWithLMHead):
    """Actor, reference model and SFT."""


@EngineRegistry.register(model_type="value_model", backend=["fsdp", "fsdp2"], device="cpu")
class CpuFSDPEngineWithValueHead(_OnCpu, FSDPEngineWithValueHead):
    """Critic."""

    def _build_module(self) -> Any:
        with patches.value_model_uses_sdpa():
            return super()._build_module()
