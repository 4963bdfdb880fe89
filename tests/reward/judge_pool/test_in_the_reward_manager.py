# SPDX-License-Identifier: Apache-2.0
"""The verl reward manager with its judge on a real Ray cluster: the extra info of code samples, and scoring while other
responses are still being generated."""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")
pytest.importorskip("verl")

from omegaconf import OmegaConf  # noqa: E402
from tensordict import TensorDict  # noqa: E402
from verl import DataProto  # noqa: E402

from klear_verl.judge import Judge  # noqa: E402
from klear_verl.reward.judge_pool.client import RayJudge  # noqa: E402
from klear_verl.reward.manager import KlearRewardManager  # noqa: E402
from klear_verl.reward.score import EXTRA_INFO_KEYS, JUDGE_KEYS, VERDICT_KEYS  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = 512
TRUTH = json.dumps({"inputs": ["1\n", "2\n", "3\n", "4\n"], "outputs": ["2\n", "4\n", "6\n", "8\n"]})


class Characters:
    """A tokenizer of characters; 0 ends a text."""

    all_special_ids = (0,)

    def convert_ids_to_tokens(self, token):
        return chr(token)

    def decode(self, ids, **_):
        return "".join(chr(token) for token in ids)


@pytest.fixture(scope="module")
def manager(ray_environment):
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    config = {
        "reward": {"reward_kwargs": {"klear": {"judge_pool": {"cpus_per_node": 2, "refresh_s": 0.5}}}},
        "actor_rollout_ref": {"rollout": {"response_length": LIMIT}},
        "trainer": {"v1": {"trainer_mode": "klear_sync"}},
    }
    made = KlearRewardManager(OmegaConf.create(config), Characters(), None)
    yield made
    made.scorer.close()
    ray.shutdown()


def sample(answer, source="coder1_longcot", truth=TRUTH):
    ids = [ord(letter) for letter in f"<think></think>{answer}"]
    row = {"data_source": source, "reward_model": {"style": "rule", "ground_truth": truth}, "extra_info": {"index": 1}}
    arrays = {}
    for key, value in row.items():
        arrays[key] = np.empty(1, dtype=object)
        arrays[key][0] = value
    batch = {
        "responses": torch.tensor([ids]),
        "attention_mask": torch.ones(1, 2 + len(ids), dtype=torch.long),
    }
    return DataProto(batch=TensorDict(batch, batch_size=1), non_tensor_batch=arrays)


def code(program):
    return sample(f"```python\n{program}\n```")


def infos(manager, *samples):
    async def score_all():
        return await asyncio.gather(*(manager.run_single(one) for one in samples))

    return [one["reward_extra_info"] for one in manager.loop.run_until_complete(score_all())]


def test_a_code_sample_says_what_the_judge_saw(manager):
    (info,) = infos(manager, code("n = int(input())\nprint(2 * n) if n < 3 else 1 / 0"))
    assert tuple(info) == EXTRA_INFO_KEYS
    assert all(type(value) is float for value in info.values())
    assert {key: info[key] for key in VERDICT_KEYS if info[key]} == {"verdict_ac": 0.5, "verdict_re": 0.5}
    assert (info["is_code"], info["pass_rate"], info["judge_ie"], info["judge_retries"]) == (1.0, 0.5, 0.0, 0.0)
    assert info["judge_exec_s"] > 0 and info["judge_cpu_s"] > 0 and info["judge_layers"] >= 3


def test_the_judge_is_the_clusters(manager):
    infos(manager, code("pass"))
    assert isinstance(manager.scorer._code._judge, RayJudge)


def test_a_response_without_a_program_is_code_that_did_not_run(manager):
    (info,) = infos(manager, sample("no program"))
    assert (info["is_code"], info["judge_layers"], info["malformed"]) == (1.0, 0.0, 1.0)
    assert not any(info[key] for key in VERDICT_KEYS)


def test_a_math_sample_has_the_same_keys_all_zero(manager):
    (info,) = infos(manager, sample("\\boxed{4}", "math_longcot_math_verify", "4"))
    assert tuple(info) == EXTRA_INFO_KEYS
    assert not any(info[key] for key in JUDGE_KEYS)


def test_scoring_goes_on_while_other_responses_are_generated(manager):
    """As verl's agent loop has it: each response is generated, then scored, in a task of its own."""
    program = "n = int(input())\nimport time\ntime.sleep(0.4 if n == 1 else 0)\nprint(2 * n)"
    responses, generation_s, scored_at = 4, 0.6, []

    async def respond(number, started):
        await asyncio.sleep(generation_s * (number + 1))
        result = await manager.run_single(code(f"{program}  # {number}"))
        scored_at.append(time.monotonic() - started)
        return result["reward_score"]

    async def rollout():
        started = time.monotonic()
        return await asyncio.gather(*(respond(number, started) for number in range(responses)))

    assert manager.loop.run_until_complete(rollout()) == [1.0] * responses
    assert scored_at[0] < responses * generation_s  # before the last response exists
    assert scored_at[-1] < responses * (generation_s + 0.4)  # and all of it sooner than one after the other


@pytest.mark.parametrize("mode", ["local", "ray"])
def test_the_mode_can_be_chosen_by_hand(manager, mode):
    config = OmegaConf.to_container(manager.config)
    config["reward"]["reward_kwargs"]["klear"]["judge_pool"]["mode"] = mode
    other = KlearRewardManager(OmegaConf.create(config), Characters(), None)
    infos(other, code("pass"))
    try:
        assert isinstance(other.scorer._code._judge, Judge if mode == "local" else RayJudge)
    finally:
        other.scorer.close()
