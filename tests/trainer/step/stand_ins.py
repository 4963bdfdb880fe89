# SPDX-License-Identifier: Apache-2.0
"""What stands in for others in a step: `AgentLoops` for those that generate and score, `Workers` for those that hold
the model. They speak to the trainer as verl's do: through the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.utils import tensordict_utils as tu

from tests.trainer.step.answers import LOG_PROB, Answer, name_of, nested
from tests.trainer.step.in_process_queue import fetch, keys_in_queue

STEP = 3
"""`global_steps` of the step that is run."""
ENTROPY = 0.5


class AgentLoops:
    """Generates at once what it was told to, prompt by prompt."""

    def __init__(self, groups: Mapping[str, Sequence[Answer]]):
        self.groups = groups

    def generate_sequences(self, prompts: TensorDict) -> None:
        rows: dict[str, dict[str, Any]] = {}
        for uid in prompts["uid"]:
            for session, answer in enumerate(self.groups[uid]):
                rows |= answer.rows(uid, session)
        fields = tu.list_of_dict_to_tensordict(list(rows.values()))
        tq.kv_batch_put(keys=list(rows), partition_id="train", fields=fields, tags=[_tag(row) for row in rows.values()])
        ended = [{"status": "finished"}] * len(prompts)
        tq.kv_batch_put(keys=list(prompts["uid"]), partition_id="train", tags=ended)


class Workers:
    """Cuts the batch as verl's workers do and keeps what they would train on: `shares[rank][mini_batch]` are names of
    rows, `batches` the same as data; `in_queue` are the names in the queue at the first forward pass.

    `log_probs` are the model's that differ from LOG_PROB: by name of the response, then by place.
    """

    def __init__(self, ranks: Sequence[int], log_probs: Mapping[str, Mapping[int, float]], grad_norm: float):
        self.ranks = list(ranks)
        self.log_probs = log_probs
        self.grad_norm = grad_norm
        self.calls: list[str] = []
        self.in_queue: list[str] = []
        self.shares: list[list[list[str]]] = []
        self.batches: list[list[TensorDict]] = []
        self._dispatch_info: dict[str, list[int]] = {}

    def _query_dispatch_info(self, mesh: str) -> list[int]:
        """The data-parallel rank of each process."""
        return {"actor": self.ranks}[mesh]

    def compute_log_prob(self, batch: KVBatchMeta) -> KVBatchMeta:
        """As a forward pass leaves them: over prompt and response, one place ahead of the token."""
        self.calls.append("compute_log_prob")
        self.in_queue = [name_of(key) for key in keys_in_queue()]
        data = fetch(batch, ["prompts", "responses"])
        log_probs, entropy = [], []
        for key, prompt, response in zip(batch.keys, data["prompts"].unbind(), data["responses"].unbind(), strict=True):
            row = torch.full((len(prompt) + len(response),), LOG_PROB)
            for place, value in self.log_probs.get(name_of(key), {}).items():
                row[len(prompt) - 1 + place] = value
            log_probs.append(row)
            # An entropy of the same logits: it is no number where they are none.
            entropy.append(torch.where(torch.isnan(row), torch.nan, ENTROPY))
        fields = TensorDict({"log_probs": nested(log_probs), "entropy": nested(entropy)}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    def update_actor(self, batch: KVBatchMeta) -> TensorDict:
        self.calls.append("update_actor")
        ranks, info = max(self.ranks) + 1, batch.extra_info
        for part in batch.chunk(ranks):
            data = fetch(part, batch.fields)
            data["place"] = torch.arange(len(part))
            mini_batches = list(
                tu.make_iterator(
                    data, info["mini_batch_size"] // ranks, info["epochs"], info["seed"], info["dataloader_kwargs"]
                )
            )
            self.batches.append(mini_batches)
            self.shares.append([[name_of(part.keys[place]) for place in item["place"]] for item in mini_batches])
        metrics = {"grad_norm": [self.grad_norm], "mfu": [0.1]}
        return tu.get_tensordict({}, non_tensor_dict={"metrics": metrics})


def _tag(row: Mapping[str, Any]) -> dict[str, Any]:
    prompt, response = len(row["prompts"]), len(row["responses"])
    lengths = {"prompt_len": prompt, "response_len": response, "seq_len": prompt + response}
    steps = {"global_steps": STEP, "min_global_steps": STEP - 1, "max_global_steps": STEP - 1}
    return {"status": "success", **lengths, **steps}
