# SPDX-License-Identifier: Apache-2.0
"""verl's platform for machines without an accelerator: gloo, plain memory, and Ray "GPUs" that are only slots.

verl asks Ray for the resource "GPU" in several places, so the platform keeps that name and our commands start Ray with
as many of them as there are ranks (`ray_kwargs.ray_init.num_gpus`). Not for speed: it exists so that the whole
pipeline can run, and be tested, anywhere.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry, platform_manager

from klear_verl.cpu import vllm_plugin


class CpuDeviceId(str):
    """What `get_device_id()` returns. verl uses it as `tensor.to(id)` and `FSDP(device_id=id)`, where it must be
    "cpu", and formats it into `f"{get_device_name()}:{id}"` (utils/fsdp_utils.py:229,
    bucketed_weight_transfer.py:183), where it must be an index."""

    def __new__(cls) -> CpuDeviceId:
        return super().__new__(cls, "cpu")

    def __getnewargs__(self) -> tuple[()]:  # type: ignore[override]
        return ()  # str's own would hand "cpu" to __new__, and neither pickle nor deepcopy would work

    def __format__(self, spec: str) -> str:
        return "0"


DEVICE_ID = CpuDeviceId()


class CpuDeviceModule(types.ModuleType):
    """`torch.cpu` plus the part of `torch.cuda`'s interface that verl calls; memory figures are those of this
    process."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def set_device(self, *_: Any) -> None:
        return None

    def current_device(self) -> CpuDeviceId:
        return DEVICE_ID

    def synchronize(self, *_: Any) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def ipc_collect(self) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def get_rng_state(self, *_: Any) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, *_: Any) -> None:
        torch.set_rng_state(state)

    def memory_allocated(self, *_: Any) -> int:
        return psutil.Process().memory_info().rss

    memory_reserved = max_memory_allocated = max_memory_reserved = memory_allocated

    def reset_peak_memory_stats(self, *_: Any) -> None:
        return None

    def mem_get_info(self, *_: Any) -> tuple[int, int]:
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def get_device_name(self, *_: Any) -> str:
        return "cpu"

    def get_device_properties(self, *_: Any) -> types.SimpleNamespace:
        total = psutil.virtual_memory().total
        return types.SimpleNamespace(name="cpu", total_memory=total, multi_processor_count=1)


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """See the module's docstring; every method is verl's `PlatformBase` contract."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = CpuDeviceModule("klear_verl.cpu.device")

    def is_available(self) -> bool:
        return True

    def current_device(self) -> CpuDeviceId:
        return DEVICE_ID

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_resource_options(self, num_gpus: float) -> dict[str, Any]:
        return {"num_gpus": num_gpus}

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False  # weights then travel through shared memory

    def cudart(self) -> Any:
        return None


def activate() -> None:
    """Makes this verl's platform and lets verl find the CPU build of vLLM. Idempotent."""
    vllm_plugin.install_distribution()
    current = platform_manager._current_platform
    if current is None or current.device_name != "cpu":
        platform_manager.set_platform(PlatformCPU())
