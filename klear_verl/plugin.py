# SPDX-License-Identifier: Apache-2.0
"""What verl loads (entry point group `verl.plugins`): every registration of klear_verl, made as the registry it goes
into is imported.

verl only *imports* this module, in every process, and swallows an exception it raises (verl/__init__.py, 0.9.1). So
this module is tiny and does nothing by itself that can fail: it hooks the import of verl's registry modules and
registers right after each of them has run. Two things follow. `import verl` pays almost nothing for us; and a
registration that fails raises out of the very import that needs it, on the driver as on every worker, with its cause —
instead of an "unsupported loss mode" some minutes later.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from klear_verl.errors import EnvironmentProblem

EVERYWHERE: dict[str, str] = {
    "verl.trainer.ppo.core_algos": "klear_verl.algorithm.gppo",
    "verl.experimental.reward_loop.reward_manager": "klear_verl.reward.manager",
    "verl.trainer.ppo.v1.trainer_sync": "klear_verl.trainer.klear_sync",
    "verl.experimental.agent_loop.single_turn_agent_loop": "klear_verl.trainer.seeded_agent_loop",
    "verl.workers.rollout.vllm_rollout.vllm_rollout": "klear_verl.patches:watch_weight_sync",
    "verl.workers.rollout.vllm_rollout.bucketed_weight_transfer": "klear_verl.patches:weight_socket_of_this_run",
}
"""verl module → ours to import right after it (`module`), or to import and call (`module:function`)."""

CPU_ONLY: dict[str, str] = {
    "verl.utils.distributed": "klear_verl.patches:name_gloo_backend_once",
    "verl.utils.checkpoint.fsdp_checkpoint_manager": "klear_verl.patches:gather_parameters_in_place",
    "verl.workers.engine.fsdp.transformer_impl": "klear_verl.cpu.engines",
}
"""The same, on the CPU platform (`VERL_PLATFORM=cpu`) alone."""


class _RegisteringLoader(importlib.abc.Loader):
    """Runs the real loader, then ours."""

    def __init__(self, inner: importlib.abc.Loader, target: str):
        self.inner = inner
        self.target = target

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        # From here on the module looks as if we had never been there.
        module.__spec__.loader = module.__loader__ = self.inner
        self.inner.exec_module(module)
        register(module.__name__, self.target)


class _RegisteringFinder(importlib.abc.MetaPathFinder):
    """Finds the hooked modules as everybody else would and wraps their loader."""

    def __init__(self, targets: dict[str, str]):
        self.targets = targets

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        ours = self.targets.get(fullname)
        if ours is None:
            return None
        for finder in sys.meta_path:  # not the path finder alone: other tools hook imports too
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _RegisteringLoader(spec.loader, ours)
                return spec
        return None


def register(verl_module: str, target: str) -> None:
    """Imports (and calls) `target`; any failure is re-raised with what was being registered and why it failed."""
    module_name, _, function = target.partition(":")
    try:
        module = importlib.import_module(module_name)
        if function:
            getattr(module, function)()
    except Exception as error:  # raised again, with its cause
        raise EnvironmentProblem(
            f"klear_verl could not register {target} with {verl_module}: {type(error).__name__}: {error}",
            "run `klear doctor`; the cause is in the traceback above",
        ) from error


def install() -> None:
    """Hooks the registry modules; those that are imported already are registered with at once. Idempotent."""
    if any(isinstance(finder, _RegisteringFinder) for finder in sys.meta_path):
        return
    targets = dict(EVERYWHERE)
    if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
        from klear_verl.cpu import platform

        platform.activate()
        targets |= CPU_ONLY
    sys.meta_path.insert(0, _RegisteringFinder(targets))
    for name, ours in targets.items():
        if name in sys.modules:
            register(name, ours)


def verify() -> None:
    """Imports every hooked module and asks verl's registries for our names. Takes some seconds: for start-up checks
    and `klear doctor`.

    Raises:
        EnvironmentProblem: a registration failed (with its cause) or a name is missing.
    """
    install()
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls
    from verl.trainer.ppo.core_algos import get_policy_loss_fn
    from verl.trainer.ppo.v1 import get_trainer_cls

    for what, lookup, name in (
        ("policy loss", get_policy_loss_fn, "gppo"),
        ("reward manager", get_reward_manager_cls, "klear"),
        ("trainer", get_trainer_cls, "klear_sync"),
    ):
        try:
            lookup(name)
        except ValueError as error:
            raise EnvironmentProblem(
                f"{what} '{name}' is not registered with verl: {error}",
                "reinstall klear-verl beside verl in one environment, and unset VERL_USE_EXTERNAL_PLUGINS",
            ) from error


install()
