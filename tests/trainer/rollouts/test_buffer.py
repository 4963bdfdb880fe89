# SPDX-License-Identifier: Apache-2.0
"""When mode "refill" asks for more prompts, and when it stops."""

from types import SimpleNamespace

import pytest

from klear_verl.trainer.buffer import GroupBuffer
from klear_verl.trainer.config import GroupsConfig, OverlongConfig
from tests.trainer.rollout_samples import group


def buffer(mode="refill", submitted=8, batch_size=8, **groups):
    made = GroupBuffer.__new__(GroupBuffer)
    made.configure(
        GroupsConfig(mode=mode, **groups),
        OverlongConfig(),
        batch_size=batch_size,
        max_response_length=64,
        check_alive=lambda: None,
    )
    made.submitted([f"prompt{n}" for n in range(submitted)])
    return made


def arrive(made, good, bad):
    """Groups with and without signal have ended."""
    groups = [group(1.0, -1.0, position=n) for n in range(good)]
    groups += [group(1.0, 1.0, position=good + n) for n in range(bad)]
    made._groups = {item.uid: item for item in groups}


def test_a_full_batch_asks_for_nothing():
    made = buffer()
    arrive(made, good=8, bad=0)
    assert made._refill(in_flight=0) == 0


def test_it_asks_for_as_many_as_the_yield_so_far_says_are_missing():
    made = buffer()
    arrive(made, good=4, bad=4)
    # 4 are missing, every second one comes out: 8.
    assert made._refill(in_flight=0) == 8


def test_prompts_in_flight_count_for_what_is_missing():
    made = buffer(submitted=12)
    arrive(made, good=4, bad=4)
    assert made._refill(in_flight=4) == 4


def test_no_more_are_in_flight_than_allowed_at_a_time():
    made = buffer(generate=6)
    arrive(made, good=0, bad=8)
    # None of 8 had signal: it counts on a quarter, and would ask for 32.
    assert made._refill(in_flight=2) == 4


def test_a_step_generates_no_more_than_its_bound():
    made = buffer(submitted=30, max_generate=32)
    arrive(made, good=0, bad=30)
    assert made._refill(in_flight=0) == 2
    made.submitted(["a", "b"])
    assert made._refill(in_flight=0) == 0


def test_without_a_bound_of_its_own_a_step_stops_at_ten_batches():
    made = buffer(submitted=80)
    arrive(made, good=0, bad=80)
    assert made._refill(in_flight=0) == 0


@pytest.mark.parametrize("mode", ["drop", "keep"])
def test_no_other_mode_refills(mode):
    made = buffer(mode=mode)
    arrive(made, good=0, bad=8)
    assert made._refill(in_flight=0) == 0


def test_nothing_is_asked_for_while_nothing_is_known():
    assert buffer()._refill(in_flight=8) == 0


def test_a_session_with_several_outputs_is_judged_by_the_last():
    made = buffer(submitted=1)
    made.partitions = {"train": {f"prompt0_0_{n}": {"response_len": 5, "prompt_len": 3} for n in range(2)}}
    outputs = [
        made._response(f"prompt0_0_{n}", score, True, {"reward_extra_info": {"task_score": score}}, "math")
        for n, score in ((1, 1.0), (0, -1.0))
    ]
    from klear_verl.trainer.buffer import _last_output

    last = _last_output(outputs)
    assert (last.keys, last.reward, last.response_tokens) == (("prompt0_0_0", "prompt0_0_1"), 1.0, 10)


def test_a_new_step_forgets_the_last_one():
    made = buffer()
    arrive(made, good=8, bad=0)
    made.begin_step()
    assert (made.groups, made.prompts) == ([], 0)


def test_the_namespace_of_validation_is_left_to_verl(monkeypatch):
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    monkeypatch.setattr(ReplayBuffer, "sample", lambda *_: SimpleNamespace(verls=True))
    assert buffer().sample(1, "val", 4).verls
