# SPDX-License-Identifier: Apache-2.0
"""verl's platform contract, as the CPU fulfils it."""

import copy
import pickle

import psutil
import pytest
import torch

from klear_verl.cpu.platform import CpuDeviceId, PlatformCPU


@pytest.fixture(scope="module")
def platform():
    return PlatformCPU()  # an abstract method that is missing raises here


@pytest.mark.parametrize("same", [lambda i: i, copy.copy, copy.deepcopy, lambda i: pickle.loads(pickle.dumps(i))])
def test_the_device_id_is_cpu_and_formats_as_an_index_also_when_copied(same):
    device = same(CpuDeviceId())
    assert device == "cpu"
    assert f"cpu:{device}" == "cpu:0"


def test_the_device_id_works_where_torch_wants_a_device():
    assert torch.zeros(1).to(CpuDeviceId()).device == torch.device("cpu")
    assert torch.zeros(1, device=f"cpu:{CpuDeviceId()}").device.type == "cpu"


def test_the_platform_names_cpu_gloo_and_rays_gpu_slots(platform):
    assert (platform.device_name, platform.vendor_name) == ("cpu", "cpu")
    assert platform.communication_backend_name() == "gloo"
    assert platform.ray_resource_name() == "GPU"
    assert platform.ray_resource_options(0.5) == {"num_gpus": 0.5}
    assert platform.visible_devices_envvar() == "CUDA_VISIBLE_DEVICES"


def test_weights_travel_through_shared_memory_not_cuda_ipc(platform):
    assert platform.is_ipc_supported() is False


def test_there_is_one_available_device_and_selecting_it_changes_nothing(platform):
    assert platform.is_available()
    assert platform.device_count() == 1
    platform.set_device(3)
    assert platform.current_device() == "cpu"


def test_calls_about_streams_memory_and_profiling_do_nothing(platform):
    platform.synchronize()
    platform.empty_cache()
    platform.set_allocator_settings("expandable_segments:True")
    platform.profiler_start()
    platform.profiler_stop()
    assert platform.cudart() is None
    assert platform.get_device_capability() == (None, None)
    with platform.nvtx_range("step"):
        pass


def test_seeding_the_platform_seeds_torch(platform):
    platform.manual_seed_all(7)
    first = torch.rand(3)
    platform.manual_seed(7)
    assert torch.equal(torch.rand(3), first)


def test_the_device_modules_random_state_can_be_put_back(platform):
    state = platform.device_module.get_rng_state()
    first = torch.rand(3)
    platform.device_module.set_rng_state(state)
    assert torch.equal(torch.rand(3), first)


def test_memory_figures_are_this_process_and_this_machine(platform):
    module = platform.device_module
    free, total = module.mem_get_info()
    assert 0 < module.memory_allocated() < total
    assert 0 < free <= total == psutil.virtual_memory().total
    assert module.get_device_properties(0).total_memory == total
    assert module.max_memory_reserved() > 0


def test_what_torch_cpu_has_itself_is_found_through_the_device_module(platform):
    assert platform.device_module.Stream is torch.cpu.Stream
    with pytest.raises(AttributeError):
        _ = platform.device_module.no_such_function
