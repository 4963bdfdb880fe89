# SPDX-License-Identifier: Apache-2.0
"""verl's TransferQueue without Ray: the real controller, a real storage unit and the real client, all in this process.

What Ray would run as actors are plain objects here, each with its own threads and sockets on 127.0.0.1. The threads of
the controller know no end; they are daemons and wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any
from unittest.mock import patch

import ray.util
import transfer_queue as tq
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta, interface
from transfer_queue.controller import TransferQueueController
from transfer_queue.storage.simple_storage import SimpleStorageUnit
from transfer_queue.utils import common


@contextmanager
def transfer_queue() -> Iterator[None]:
    """`tq.kv_batch_put`, `tq.kv_batch_get`, `tq.kv_list` and `tq.kv_clear` work within."""
    # On a machine of few cores it says so at every call.
    quiet = patch.object(common.logger, "disabled", True)
    with quiet, patch.object(interface, "_TQ_CLIENT", None):
        storage, client = _start()
        try:
            yield
        finally:
            client.close()
            storage.shutdown()


def fetch(batch: KVBatchMeta, fields: list[str]) -> TensorDict:
    """These fields of the rows of a batch."""
    return tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)


def keys_in_queue() -> list[str]:
    """Of the partition that trains, sorted."""
    return sorted(tq.kv_list("train").get("train", {}))


def empty_queue() -> None:
    """Forgets every key of every partition."""
    for partition, keys in tq.kv_list().items():
        if keys:
            tq.kv_clear(keys=list(keys), partition_id=partition)


def _start() -> tuple[Any, Any]:
    """A storage unit and the client, with the controller behind them."""
    with patch.object(ray.util, "get_node_ip_address", lambda: "127.0.0.1"):
        controller = _without_ray(TransferQueueController)()
        storage = _without_ray(SimpleStorageUnit)({})
        config = OmegaConf.create({}, flags={"allow_objects": True})
        config.merge_with(OmegaConf.load(str(resources.files(tq) / "config.yaml")))
        config.controller.zmq_info = controller.get_zmq_server_info()
        config.backend.SimpleStorage.zmq_info = {storage.storage_unit_id: storage.get_zmq_server_info()}
        return storage, interface._maybe_create_tq_client(config)


def _without_ray(actor: Any) -> type:
    """The class that `@ray.remote` decorates."""
    found: type = actor.__ray_metadata__.modified_class
    return found
