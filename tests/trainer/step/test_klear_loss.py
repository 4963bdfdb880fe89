# SPDX-License-Identifier: Apache-2.0
"""`klear_loss` on a micro-batch made by hand: it is verl's `ppo_loss` plus the language-model loss, it evaluates the
policy loss once, and a log-probability that is no number stops the update."""

import json
import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict
from verl.trainer.ppo import core_algos
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPActorConfig
from verl.workers.utils.losses import ppo_loss

from klear_verl.algorithm import GPPOLossConfig
from klear_verl.trainer import loss as loss_module
from klear_verl.trainer.loss import NonFiniteLogProb, klear_loss
from tests.trainer.step.answers import nested

LENGTHS = (4, 2)
MASKED = (0, 1)
"""Row and place of the one token that does not train."""
PROMPT = 3
TOKENIZER = SimpleNamespace(decode=lambda ids: " ".join(map(str, ids)))

modes = pytest.mark.parametrize("mode", ["gppo", "vanilla"])


def micro_batch(old=()):
    """Two responses of one prompt; `old` are log-probabilities of the generating policy other than -1: (row, place,
    value)."""
    masks = [torch.ones(length, dtype=torch.int64) for length in LENGTHS]
    masks[MASKED[0]][MASKED[1]] = 0
    old_log_probs = [torch.full((length,), -1.0) for length in LENGTHS]
    for row, place, value in old:
        old_log_probs[row][place] = value
    data = TensorDict(
        {
            "prompts": nested([torch.arange(PROMPT)] * 2),
            "responses": nested([torch.arange(10, 10 + length) for length in LENGTHS]),
            "response_mask": nested(masks),
            "old_log_probs": nested(old_log_probs),
            "advantages": nested([torch.ones(4), -torch.ones(2)]),
            "klear_positive": torch.tensor([True, False]),
            "klear_positive_tokens": torch.tensor([3, 3]),
            "klear_live_responses": torch.tensor([2, 2]),
        },
        batch_size=2,
    )
    return tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=5, global_batch_size=2)


def loss(folder, mode, data, new=(), **actor_options):
    """With log-probabilities of -1 but for `new`: (row, place, value)."""
    rows = [torch.full((PROMPT + length,), -1.0) for length in LENGTHS]
    for row, place, value in new:
        rows[row][PROMPT - 1 + place] = value
    log_probs = torch.cat(rows).requires_grad_()
    actor = actor_config(mode, **actor_options)
    value, _ = klear_loss(actor, 0.1, str(folder), {"log_probs": _jagged(log_probs)}, data)
    value.backward()
    return value.item(), log_probs.grad


def actor_config(mode, **options):
    actor = FSDPActorConfig(
        strategy="fsdp", rollout_n=2, use_dynamic_bsz=True, policy_loss=GPPOLossConfig(loss_mode=mode), **options
    )
    actor.model_config = SimpleNamespace(tokenizer=TOKENIZER)
    return actor


def _jagged(flat):
    return torch.nested.nested_tensor_from_jagged(flat, torch.tensor([0, PROMPT + LENGTHS[0], len(flat)]))


@modes
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_log_probability_of_the_model_that_is_no_number_stops_the_update_and_is_saved(tmp_path, mode, value):
    with pytest.raises(NonFiniteLogProb, match=r"1 of 2 samples .* \(update\)"):
        loss(tmp_path, mode, micro_batch(), new=[(1, 1, value)])
    (path,) = tmp_path.glob("*.json")
    (sample,) = json.loads(path.read_text())
    assert (sample["first_bad_token"], sample["response"]) == (1, "10 11")


@modes
def test_so_does_one_of_the_policy_that_generated(tmp_path, mode):
    with pytest.raises(NonFiniteLogProb):
        loss(tmp_path, mode, micro_batch(old=[(0, 3, -math.inf)]))


@modes
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_token_that_does_not_train_may_have_any_log_probability(tmp_path, mode, value):
    plain = loss(tmp_path, mode, micro_batch())
    odd = loss(tmp_path, mode, micro_batch(old=[(*MASKED, value)]), new=[(*MASKED, value)])
    assert odd[0] == plain[0]
    assert torch.equal(odd[1], plain[1])
    assert not list(tmp_path.iterdir())


@modes
def test_at_a_ratio_of_one_the_loss_is_what_the_paper_says(tmp_path, mode):
    # Policy: -(3 · 1 + 2 · -1) / 5. Language model: 1 nat on each of the 3 positive tokens, times α = 0.1.
    assert loss(tmp_path, mode, micro_batch())[0] == pytest.approx(-0.2 + 0.1)


@pytest.mark.parametrize("mode", ["gppo", "vanilla", "cispo"])
@pytest.mark.parametrize("agg", ["token-mean", "seq-mean-token-mean", "seq-mean-token-sum"])
def test_a_mini_batch_whose_every_token_was_rejected_is_a_loss_of_zero(tmp_path, mode, agg):
    data = micro_batch()
    data["response_mask"] = nested([torch.zeros(length, dtype=torch.int64) for length in LENGTHS])
    for field in ("klear_positive_tokens", "klear_live_responses"):
        data[field] = torch.zeros(2, dtype=torch.int64)
    tu.assign_non_tensor(data, batch_num_tokens=0)
    value, gradient = loss(tmp_path, mode, data, loss_agg_mode=agg)
    assert value == 0.0
    assert not gradient.any()


def test_cispo_without_a_lower_bound_as_its_users_write_it_is_measured_like_any_other(tmp_path):
    value, _ = loss(tmp_path, "cispo", micro_batch(), clip_ratio_low=10.0, clip_ratio_high=0.2)
    # -(3 · 1 · -1 + 2 · -1 · -1) / 5, and α times 1 nat.
    assert value == pytest.approx(0.2 + 0.1)


MODES = ["gppo", "vanilla", "cispo", "gspo", "sapo"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("regularised", [False, True])
@pytest.mark.parametrize("agg", ["token-mean", "seq-mean-token-mean"])
def test_without_the_language_model_loss_it_is_verls_ppo_loss(tmp_path, mode, regularised, agg):
    options = {"entropy_coeff": 0.3, "use_kl_loss": True, "kl_loss_coef": 0.7} if regularised else {}

    def evaluated(function):
        # Ratios on both sides of the band, and weights of a rollout correction.
        data = micro_batch(old=[(0, 0, -2.0), (0, 2, -0.2), (1, 0, -1.9)])
        data["ref_log_prob"] = nested([torch.linspace(-2, -0.5, length) for length in LENGTHS])
        data["rollout_is_weights"] = nested([torch.linspace(0.5, 2, length) for length in LENGTHS])
        flat = [torch.full((2 * PROMPT + sum(LENGTHS),), value).requires_grad_() for value in (-1.0, 0.6)]
        output = {"log_probs": _jagged(flat[0])} | ({"entropy": _jagged(flat[1])} if regularised else {})
        value, metrics = function(actor_config(mode, loss_agg_mode=agg, **options), output, data)
        value.backward()
        return value.detach(), [part.grad for part in flat], metrics

    value, gradients, metrics = evaluated(partial(_klear_loss, tmp_path))
    expected, expected_gradients, theirs = evaluated(ppo_loss)
    torch.testing.assert_close(value, expected)
    for own, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(own, other)
    ours = {"actor/pg_clipfrac", "actor/pg_clipfrac_lower", "actor/ppo_kl"}  # exact where verl's are per micro-batch
    for name in theirs.keys() - ours:
        if not name.startswith("actor/gppo/"):
            assert _number(metrics[name]) == pytest.approx(_number(theirs[name])), name


def _klear_loss(folder, actor, output, data):
    return klear_loss(actor, 0.0, str(folder), output, data)


def _number(metric):
    return metric if isinstance(metric, float) else metric.aggregate()


@pytest.mark.parametrize("mode", MODES)
def test_the_policy_loss_and_its_regions_are_computed_once(tmp_path, mode, monkeypatch):
    calls = []

    def counted(function):
        return lambda *args, **kwargs: calls.append(function.__name__) or function(*args, **kwargs)

    if mode == "gppo":
        monkeypatch.setattr(loss_module, "gppo_loss", counted(loss_module.gppo_loss))
    stock = core_algos.POLICY_LOSS_REGISTRY[mode]
    monkeypatch.setitem(core_algos.POLICY_LOSS_REGISTRY, mode, counted(stock))
    monkeypatch.setattr(loss_module, "region_sums", counted(loss_module.region_sums))
    loss(tmp_path, mode, micro_batch())
    assert sorted(calls) == sorted(["gppo_loss" if mode == "gppo" else stock.__name__, "region_sums"])
