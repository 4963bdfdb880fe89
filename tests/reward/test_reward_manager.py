# SPDX-License-Identifier: Apache-2.0
"""Properties of the verl reward manager, built and called as verl's reward loop does it."""

import asyncio
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("verl")

from omegaconf import OmegaConf  # noqa: E402
from tensordict import TensorDict  # noqa: E402
from verl import DataProto  # noqa: E402
from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls  # noqa: E402
from verl.trainer.ppo.reward import load_reward_manager  # noqa: E402

from klear_verl.errors import ConfigError, DataError, EnvironmentProblem  # noqa: E402
from klear_verl.reward.manager import KlearRewardManager  # noqa: E402
from klear_verl.reward.score import EXTRA_INFO_KEYS, JUDGE_KEYS  # noqa: E402

LIMIT = 64


class CharTokenizer:
    """Characters as tokens; end, padding and both think tags are special, as some tokenizers have it."""

    special = ("<eos>", "<pad>", "<think>", "</think>")
    all_special_ids = (0, 1, 2, 3)

    def encode(self, text):
        ids = []
        while text:
            token = next((tag for tag in self.special if text.startswith(tag)), text[0])
            ids.append(self.special.index(token) if token in self.special else ord(token) + 10)
            text = text[len(token) :]
        return ids

    def convert_ids_to_tokens(self, token):
        return self.special[token] if token < len(self.special) else chr(token - 10)

    def decode(self, ids, skip_special_tokens, clean_up_tokenization_spaces=True):
        assert not skip_special_tokens and not clean_up_tokenization_spaces
        return "".join(self.convert_ids_to_tokens(token) for token in ids)


def config(klear=None, mode="klear_sync", **reward):
    return OmegaConf.create(
        {
            "reward": {
                "reward_manager": {"source": "register", "name": "klear"},
                "reward_kwargs": {} if klear is None else {"klear": klear},
                "custom_reward_function": {"path": None},
                **reward,
            },
            "actor_rollout_ref": {"rollout": {"response_length": LIMIT}},
            "trainer": {"v1": {"trainer_mode": mode}},
        }
    )


def sample(response, ground_truth="4", **changes):
    """A batch of one, padded as the agent loop pads it."""
    ids = CharTokenizer().encode(response)
    padding = LIMIT + 8 - len(ids)
    prompt = [65, 66]
    row = {
        "data_source": "math_longcot_math_verify",
        "reward_model": {"style": "rule", "ground_truth": ground_truth},
        "extra_info": {"index": 17},
        **changes,
    }
    batch = {
        "prompts": torch.tensor([prompt]),
        "responses": torch.tensor([ids + [1] * padding]),
        "attention_mask": torch.tensor([[1] * (len(prompt) + len(ids)) + [0] * padding]),
    }
    arrays = {}
    for key, value in row.items():
        arrays[key] = np.empty(1, dtype=object)
        arrays[key][0] = value
    return DataProto(batch=TensorDict(batch, batch_size=1), non_tensor_batch=arrays)


@pytest.fixture(scope="module")
def manager():
    manager = load_reward_manager(config(), CharTokenizer(), reward_router_address=None, reward_model_tokenizer=None)
    yield manager
    manager.scorer.close()


def score(manager, data):
    return manager.loop.run_until_complete(manager.run_single(data))


def test_importing_registers_the_manager_under_its_name():
    assert get_reward_manager_cls("klear") is KlearRewardManager


def test_correct_answer_through_the_reward_loop(manager):
    result = score(manager, sample("<think>2+2</think>\\boxed{4}<eos>"))
    assert result["reward_score"] == 1.0
    assert result["reward_extra_info"] == {
        "acc": 1.0,
        "pass_rate": 1.0,
        "task_score": 1.0,
        "malformed": 0.0,
        "ungraded": 0.0,
        "overlong": 0.0,
        **dict.fromkeys(JUDGE_KEYS, 0.0),
    }


def test_every_sample_has_the_same_keys_of_finite_floats(manager):
    responses = ["<think></think>4<eos>", "<think></think>5<eos>", "<think>", "x" * LIMIT]
    infos = [score(manager, sample(response))["reward_extra_info"] for response in responses]
    infos.append(score(manager, sample("<think></think>4<eos>", ground_truth="?"))["reward_extra_info"])
    for info in infos:
        assert tuple(info) == EXTRA_INFO_KEYS
        assert all(type(value) is float and math.isfinite(value) for value in info.values())
    assert np.array([list(info.values()) for info in infos]).dtype == np.float64


def test_response_cut_at_the_limit_is_overlong(manager):
    cut = "<think>" + "x" * (LIMIT - 1)
    assert score(manager, sample(cut))["reward_extra_info"]["overlong"] == 1.0


def test_response_that_ends_at_the_limit_is_not_overlong(manager):
    ended = "<think></think>4" + " " * (LIMIT - 4) + "<eos>"
    info = score(manager, sample(ended))["reward_extra_info"]
    assert (info["overlong"], info["acc"]) == (0.0, 1.0)


def test_ungraded_is_flagged_for_a_klear_trainer_to_mask(manager):
    info = score(manager, sample("<think></think>4<eos>", ground_truth="?"))["reward_extra_info"]
    assert info["ungraded"] == 1.0 and info["acc"] == 0.0


@pytest.mark.parametrize(("klear", "mode"), [(None, "sync"), ({"on_ungraded": "fail"}, "klear_sync")])
def test_ungraded_raises_where_nothing_would_mask_it(klear, mode):
    manager = KlearRewardManager(config(klear, mode), CharTokenizer(), None)
    try:
        with pytest.raises(EnvironmentProblem, match=r"row '17'.*could not be graded: unparsable reference"):
            score(manager, sample("<think></think>4<eos>", ground_truth="?"))
    finally:
        manager.scorer.close()


@pytest.mark.parametrize(
    "changes",
    [{"data_source": "who knows"}, {"reward_model": {"style": "rule"}}, {"reward_model": {"ground_truth": ["4"]}}],
)
def test_row_that_cannot_be_scored_raises(manager, changes):
    with pytest.raises(DataError, match=r"'17'|who knows"):
        score(manager, sample("<think></think>4<eos>", **changes))


def test_bad_key_is_named_in_full_at_construction():
    with pytest.raises(
        ConfigError, match=r"reward\.reward_kwargs\.klear\.code\.shpe: unknown key; did you mean 'shape'"
    ):
        KlearRewardManager(config({"code": {"shpe": "hard"}}), CharTokenizer(), None)


def test_custom_reward_function_is_refused():
    with pytest.raises(ConfigError, match="custom_reward_function"):
        KlearRewardManager(config(custom_reward_function={"path": "mine.py"}), CharTokenizer(), None)


def test_many_samples_at_once_share_the_graders(manager):
    async def gather():
        return await asyncio.gather(*(manager.run_single(sample(f"<think></think>{n}<eos>")) for n in range(8)))

    assert [item["reward_extra_info"]["acc"] for item in manager.loop.run_until_complete(gather())] == [
        float(n == 4) for n in range(8)
    ]
