# SPDX-License-Identifier: Apache-2.0
"""The monkeypatches: each does what it is for, only where it is for it, and refuses a version it was not written
for."""

import json
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import Future

import pytest
import zmq

from klear_verl import patches
from klear_verl.errors import EnvironmentProblem


def report_of(code, **environment):
    """Runs `code` on the CPU platform in a fresh interpreter; returns what it left in `report`."""
    script = f"import json, sys\nreport = {{}}\n{code}\nprint('REPORT' + json.dumps(report))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "VERL_PLATFORM": "cpu",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("REPORT")[1])


@pytest.mark.parametrize("installed", ["0.9.1", "0.9.1+cpu"])
def test_a_version_written_for_is_accepted_with_or_without_local_part(monkeypatch, installed):
    monkeypatch.setattr(patches, "version", lambda name: installed)  # one version can be installed at a time
    patches._written_for("verl", "0.9.1")


@pytest.mark.parametrize("installed", ["0.9.0", "0.9.10", "0.10.0", "0.9.1.dev1"])
def test_another_version_is_refused_with_both_named(monkeypatch, installed):
    monkeypatch.setattr(patches, "version", lambda name: installed)  # one version can be installed at a time
    with pytest.raises(EnvironmentProblem) as caught:
        patches._written_for("verl", "0.9.1")
    assert "verl 0.9.1" in caught.value.what
    assert f"but {installed} is installed" in caught.value.what
    assert "pip install 'verl==0.9.1'" in caught.value.remedy


def test_fsdp1s_check_is_lifted_inside_the_block_and_back_after_an_error():
    import torch.distributed.fsdp._init_utils as init_utils

    stock = init_utils._check_module_states_for_sync_module_states
    with pytest.raises(ZeroDivisionError), patches.fsdp1_accepts_cpu_modules():
        assert init_utils._check_module_states_for_sync_module_states([]) is None
        assert init_utils._check_module_states_for_sync_module_states is not stock
        raise ZeroDivisionError
    assert init_utils._check_module_states_for_sync_module_states is stock


def test_the_value_model_is_built_with_sdpa_inside_the_block_only(tmp_path):
    import torch
    import verl.utils.model as model_utils
    from transformers import Qwen3Config, Qwen3ForTokenClassification

    shape = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 32, "num_labels": 1}
    config = Qwen3Config(hidden_size=16, intermediate_size=16, num_hidden_layers=1, **shape)
    Qwen3ForTokenClassification(config).save_pretrained(tmp_path)
    stock = model_utils.load_valuehead_model
    with patches.value_model_uses_sdpa():
        model = model_utils.load_valuehead_model(str(tmp_path), torch.float32, config, False)
    assert model.config._attn_implementation == "sdpa"
    assert model_utils.load_valuehead_model is stock


def test_a_process_group_starts_over_gloo_on_the_cpu(tmp_path):
    report = report_of(
        """
import os, torch
import verl.utils.distributed as distributed
report["ranks"] = distributed.initialize_global_process_group(timeout_second=60)
ones = torch.ones(3)
torch.distributed.all_reduce(ones)
report["sum"] = ones.tolist()
report["backend"] = torch.distributed.get_backend()
distributed.destroy_global_process_group()
os.environ["DIST_INIT_METHOD"] = os.environ["DIST_INIT_METHOD"].replace("first?rank=0&world_size=1", "second")
distributed.initialize_global_process_group_ray(timeout_second=60)
report["again"] = torch.distributed.get_backend()
""",
        RANK="0",
        LOCAL_RANK="0",
        WORLD_SIZE="1",
        DIST_INIT_METHOD=f"file://{tmp_path}/first?rank=0&world_size=1",
    )
    assert report["ranks"] == [0, 0, 1]
    assert report["sum"] == [1.0, 1.0, 1.0]
    assert {report["backend"], report["again"]} <= {"gloo", "cpu:gloo"}  # torch shortens the name where it can


@pytest.fixture
def watched():
    """The sender's socket, watched, and a rollout's socket at the other end."""
    context = zmq.Context()
    sender, rollout = context.socket(zmq.REQ), context.socket(zmq.REP)
    address = f"inproc://{uuid.uuid4()}"
    sender.bind(address)
    rollout.connect(address)
    yield sender, rollout
    sender.close(linger=0)
    rollout.close(linger=0)
    context.term()


def test_an_acknowledgement_passes_through_unchanged(watched):
    sender, rollout = watched
    socket = patches._WatchedSocket(sender, None)
    socket.send(b"bucket")
    threading.Timer(0.1, lambda: rollout.send(rollout.recv() + b" received")).start()
    assert socket.recv() == b"bucket received"


def test_a_rollout_that_never_answers_ends_the_wait(watched, monkeypatch):
    monkeypatch.setattr(patches, "STALLED_SYNC_S", 0.2)  # minutes, where it is not a test
    socket = patches._WatchedSocket(watched[0], None)
    socket.send(b"bucket")
    with pytest.raises(patches.RolloutDiedDuringSync, match="no acknowledgement"):
        socket.recv()


def test_a_rollout_that_never_connected_ends_the_wait_to_send(monkeypatch):
    monkeypatch.setattr(patches, "STALLED_SYNC_S", 0.2)  # minutes, where it is not a test
    with zmq.Context() as context, context.socket(zmq.REQ) as sender:
        sender.bind(f"inproc://{uuid.uuid4()}")
        with pytest.raises(patches.RolloutDiedDuringSync, match="no acknowledgement"):
            patches._WatchedSocket(sender, None).send_pyobj("weights")


def test_closing_does_not_wait_for_a_message_nobody_fetches():
    context = zmq.Context()
    socket = patches._WatchedSocket(context.socket(zmq.REQ), None)
    socket.bind(f"inproc://{uuid.uuid4()}")
    socket.connect(f"tcp://127.0.0.1:{9}")
    socket.send(b"bucket")
    socket.close()
    ended: Future = Future()
    threading.Thread(target=lambda: ended.set_result(context.term()), daemon=True).start()
    ended.result(timeout=120)


SENDER = """
import asyncio, os, time
import ray, torch
import verl.workers.rollout.vllm_rollout.vllm_rollout as rollout
from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver, BucketedWeightSender
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)

@ray.remote(num_cpus=0)
class Server:
    async def collective_rpc(self, method, timeout, args, kwargs):
        import zmq
        if {answers} >= 1:
            socket = zmq.Context.instance().socket(zmq.REP)
            socket.connect(kwargs["handle"])
            for _ in range({answers}):
                socket.recv_pyobj()
                socket.send(b"")
        if {fails}:
            raise KeyError("no parameter lm_head.weight in the rollout's model")

async def sync():
    adapter = rollout.ServerAdapter.__new__(rollout.ServerAdapter)
    adapter._ensure_server_handle = lambda: True
    adapter.server_handle = Server.remote()
    handle = "ipc:///tmp/klear-test-%d.sock" % os.getpid()
    await adapter._execute_method("update_weights_from_ipc", non_block=True, kwargs={{"handle": handle}})
    sender = BucketedWeightSender(zmq_handle=handle, bucket_size_mb=1, use_shm=True)
    await sender.async_send_weights((str(n), torch.ones(200_000)) for n in range(4))

started = time.monotonic()
try:
    asyncio.run(sync())
except Exception as error:  # looked at by the test
    report["error"] = [type(error).__mro__[-4].__name__, type(error).__name__, str(error)]
report["seconds"] = time.monotonic() - started
ray.shutdown()
"""


def weight_segments():
    return {name for name in os.listdir("/dev/shm") if name.startswith("verl_weights_")}


@pytest.mark.slow
@pytest.mark.parametrize("answers", [0, 2], ids=["at the first message", "in the middle"])
def test_a_rollout_that_raises_during_a_sync_ends_the_sender_with_its_own_error(answers):
    before = weight_segments()
    report = report_of(SENDER.format(answers=answers, fails=True))
    assert "KeyError" in str(report["error"])
    assert "no parameter lm_head.weight" in report["error"][2]
    assert report["seconds"] < 200
    assert not weight_segments() - before


@pytest.mark.slow
def test_a_rollout_that_returns_before_the_last_bucket_is_an_error_too():
    report = report_of(SENDER.format(answers=2, fails=False))
    assert report["error"][1] == "RolloutDiedDuringSync"
    assert "before all weights were sent" in report["error"][2]


@pytest.mark.slow
def test_vllms_cpu_linear_takes_new_weights_and_the_plugin_imports_no_verl():
    pytest.importorskip("vllm")
    report = report_of("""
import torch
from klear_verl.cpu import vllm_plugin
vllm_plugin.install_distribution()
vllm_plugin.register()
import vllm.model_executor.layers.utils as utils
layer = torch.nn.Linear(4, 3, bias=False)
utils.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
inputs = torch.arange(4.0)
with torch.no_grad():
    layer.weight.fill_(2.0)
report["output"] = layer.cpu_linear(inputs, layer.weight, None).tolist()
report["verl"] = "verl" in sys.modules
""")
    assert report["output"] == [12.0, 12.0, 12.0]
    assert not report["verl"]


GATHER = """
import sys, torch, torch.distributed as dist
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
import verl.utils.checkpoint.fsdp_checkpoint_manager as manager

def rank_main(rank, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    torch.manual_seed(0)
    plain = torch.nn.Linear(3, 5)
    expected = {name: value.clone() for name, value in plain.state_dict().items()}
    sharded = FSDP(plain, device_id=torch.device("cpu"))
    gathered = manager.get_fsdp_full_state_dict(sharded, offload_to_cpu=True, rank0_only=True)
    if rank == 0:
        assert gathered.keys() == expected.keys()
        assert all(torch.equal(gathered[name], expected[name]) for name in expected)
    dist.barrier()

if __name__ == "__main__":
    # By fork: what takes seconds to import is imported already.
    torch.multiprocessing.start_processes(rank_main, (sys.argv[1],), nprocs=2, start_method="fork")
"""


def test_two_ranks_of_fsdp1_gather_all_parameters_on_the_first(tmp_path):
    (tmp_path / "gather.py").write_text(GATHER)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "gather.py"), str(tmp_path / "store")],
        env={**os.environ, "VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
