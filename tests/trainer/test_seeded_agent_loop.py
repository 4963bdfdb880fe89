# SPDX-License-Identifier: Apache-2.0
"""A response's seed depends on what it is, and on nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from klear_verl.trainer.seeded_agent_loop import response_seed

PROMPT = [{"role": "user", "content": "1 + 1"}]


def test_the_same_response_has_the_same_seed_and_its_siblings_have_others():
    assert response_seed(0, 3, PROMPT, 0) == response_seed(0, 3, list(PROMPT), 0)
    seeds = [response_seed(0, 3, PROMPT, session) for session in range(64)]
    assert len(set(seeds)) == 64


def test_step_run_and_prompt_all_change_it():
    other = [{"role": "user", "content": "1 + 2"}]
    seeds = {
        response_seed(0, 3, PROMPT, 0),
        response_seed(1, 3, PROMPT, 0),
        response_seed(0, 4, PROMPT, 0),
        response_seed(0, 3, other, 0),
    }
    assert len(seeds) == 4


@given(st.integers(0, 2**31), st.integers(0, 10**6), st.text(), st.integers(0, 1000))
def test_every_seed_is_one_that_vllm_takes(seed, step, text, session):
    assert 0 <= response_seed(seed, step, [{"role": "user", "content": text}], session) < 2**31


def test_verl_knows_the_loop_by_name():
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    target = _agent_loop_registry["klear_single_turn"]["_target_"]
    assert target == "klear_verl.trainer.seeded_agent_loop.SeededSingleTurn"
