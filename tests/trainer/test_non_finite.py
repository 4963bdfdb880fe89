# SPDX-License-Identifier: Apache-2.0
"""A log-probability that is no number ends the run, and its sample is on disk."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict

from klear_verl.trainer.loss import MAX_SAVED, NonFiniteLogProb, stop_on_non_finite

TOKENIZER = SimpleNamespace(decode=lambda ids: " ".join(map(str, ids)))


def nested(rows, dtype=torch.int64):
    return torch.nested.as_nested_tensor([torch.tensor(row, dtype=dtype) for row in rows], layout=torch.jagged)


def stop(folder, log_prob, mask):
    rows = len(log_prob)
    data = TensorDict({"prompts": nested([[7, 8]] * rows), "responses": nested([[1, 2, 3]] * rows)}, batch_size=rows)
    batch = TensorDict({"response_mask": torch.tensor(mask)}, batch_size=rows)
    with pytest.raises(NonFiniteLogProb) as caught:
        stop_on_non_finite(str(folder), "update", torch.tensor(log_prob), batch, data, TOKENIZER)
    (path,) = folder.glob("*.json")
    assert str(path) in caught.value.remedy
    return caught.value, json.loads(path.read_text())


def test_the_offending_sample_is_saved_with_its_text_and_the_place(tmp_path):
    error, saved = stop(tmp_path, [[-1.0, -2.0, -3.0], [-1.0, math.nan, -3.0]], [[1, 1, 1], [1, 1, 1]])
    assert "1 of 2 samples" in error.what
    (sample,) = saved
    assert (sample["first_bad_token"], sample["prompt"], sample["response"]) == (1, "7 8", "1 2 3")
    assert math.isnan(sample["log_probs"][1])


def test_what_is_masked_is_nobodys_fault(tmp_path):
    _, saved = stop(tmp_path, [[math.nan, -2.0, -3.0], [-1.0, -2.0, -math.inf]], [[0, 1, 1], [1, 1, 1]])
    assert [sample["first_bad_token"] for sample in saved] == [2]


def test_of_a_broken_model_a_few_samples_are_saved(tmp_path):
    rows = MAX_SAVED + 5
    error, saved = stop(tmp_path, [[math.nan] * 3] * rows, [[1, 1, 1]] * rows)
    assert f"{rows} of {rows} samples" in error.what
    assert len(saved) == MAX_SAVED
