# SPDX-License-Identifier: Apache-2.0
"""The environment variables a run needs, so that a user never has to set one. What the user did set wins."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_PLUGIN = "klear_verl.plugin"

ALWAYS = {
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    # verl swallows the failure of a plugin it discovers, but not of a module named here.
    "VERL_USE_EXTERNAL_MODULES": _PLUGIN,
    # Ray switches token authentication on by itself where a token file lies in the home, and then refuses clusters
    # started without.
    "RAY_AUTH_MODE": "disabled",
}

CPU_ONLY = {
    "VERL_PLATFORM": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    # vLLM's CPU platform takes its executor "uni" (recipes/platform/rl/cpu.yaml) only where this is off. verl's server
    # runs its engine in a process of its own all the same.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "HF_HUB_OFFLINE": "1",
    # Ray hides all "GPUs" from a process that reserved none, and verl then sees no device.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@cache
def has_accelerator() -> bool:
    """Whether a GPU or NPU is there, without importing torch."""
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd", "/dev/davinci_manager"))


def on_cpu() -> bool:
    """Whether runs on this machine use the CPU platform: asked for by VERL_PLATFORM, or for want of an accelerator."""
    asked = os.environ.get("VERL_PLATFORM", "").strip().lower()
    return asked == "cpu" if asked else not has_accelerator()


def variables() -> dict[str, str]:
    """The variables for this machine."""
    return {**ALWAYS, **CPU_ONLY} if on_cpu() else dict(ALWAYS)


def apply() -> None:
    """Sets the variables in this process (and so in those it starts), leaving alone what is set already."""
    for name, value in variables().items():
        os.environ.setdefault(name, value)
    # Modules of the user's (a loss of one's own) come beside ours, not instead of it.
    modules = os.environ["VERL_USE_EXTERNAL_MODULES"].split(",")
    if _PLUGIN not in modules:
        os.environ["VERL_USE_EXTERNAL_MODULES"] = ",".join([_PLUGIN, *modules])
    # The quickstart's recipes build their paths on this folder; saved configurations hold it, so it must not depend on
    # where one stands.
    os.environ["KLEAR_QUICKSTART"] = str(Path(os.environ.get("KLEAR_QUICKSTART", "quickstart-out")).absolute())
