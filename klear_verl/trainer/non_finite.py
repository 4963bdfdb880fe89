# SPDX-License-Identifier: Apache-2.0
"""Stopping on a log-probability that is NaN or infinite, with the offending samples saved: a model that produces one
is broken, and every further step would train on noise."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NoReturn

import torch
from tensordict import TensorDict

from klear_verl.errors import KlearError
from klear_verl.utils.files import write_json

MAX_SAVED = 8
"""Samples saved per file: enough to see what they share."""


class NonFiniteLogProb(KlearError):
    """The policy's or the rollout's log-probability of a token is NaN or infinite."""


class NonFiniteGradient(KlearError):
    """The gradient norm of an update is NaN or infinite."""


def stop_on_non_finite(
    samples_dir: str, stage: str, log_prob: torch.Tensor, batch: TensorDict, data: TensorDict, tokenizer: Any
) -> NoReturn:
    """Saves the live tokens' samples that have a non-finite log-probability and raises.

    Args:
        samples_dir: the folder to write into (of the run; made if missing).
        stage: "update", or the field that it stands in: which forward pass.
        log_prob: of that pass, (batch_size, response_length).
        batch: padded `response_mask`, `old_log_probs` and `advantages` (the latter two where computed already).
        data: nested `prompts` and `responses`, and verl's other fields.
        tokenizer: to write the sample as text too.

    Raises:
        NonFiniteLogProb: always; names file and sample.
    """
    live = batch["response_mask"].bool()
    old = batch.get("old_log_probs", log_prob)
    broken = live & ~(torch.isfinite(log_prob) & torch.isfinite(old))
    rows = torch.nonzero(broken.any(dim=-1)).flatten().tolist()
    prompts, responses = data["prompts"].unbind(), data["responses"].unbind()
    uids = list(data["uid"]) if "uid" in data else None
    saved = []
    for row in rows[:MAX_SAVED]:
        length = responses[row].numel()
        sample = {
            "uid": uids[row] if uids else None,
            "first_bad_token": int(torch.nonzero(broken[row])[0]),
            "prompt_ids": prompts[row].tolist(),
            "response_ids": responses[row].tolist(),
            "log_probs": log_prob[row, :length].float().tolist(),
            "old_log_probs": old[row, :length].float().tolist(),
        }
        if "advantages" in batch:
            sample["advantages"] = batch["advantages"][row, :length].float().tolist()
        sample["prompt"] = tokenizer.decode(sample["prompt_ids"])
        sample["response"] = tokenizer.decode(sample["response_ids"])
        saved.append(sample)
    path = _write(Path(samples_dir), stage, saved)
    raise NonFiniteLogProb(
        f"{len(rows)} of {live.shape[0]} samples have a NaN or infinite log-probability ({stage}); the first is token "
        f"{saved[0]['first_bad_token']} of a response of {len(saved[0]['response_ids'])} tokens",
        f"the samples are saved in {path}; check the model's weights, the learning rate and the numeric type, and go "
        "on from the last checkpoint",
    )


def _write(folder: Path, stage: str, samples: list[dict[str, Any]]) -> Path:
    """JSON's extension NaN and Infinity, which Python reads back."""
    path = folder / f"{stage}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.json"
    write_json(path, samples, indent=1)
    return path
