# SPDX-License-Identifier: Apache-2.0
"""A response's seed depends on what it is, and on nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from klear_verl.trainer.seeded_agent_loop import response_seed, what_is_read

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


def test_vllm_is_asked_for_the_last_output_without_text():
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    params = SamplingParams(**what_is_read({"temperature": 1.0, "logprobs": 0}, interruptible=False))
    assert (params.output_kind, params.detokenize, params.logprobs) == (RequestOutputKind.FINAL_ONLY, False, 0)


def test_a_trainer_that_interrupts_gets_a_first_output_at_once():
    assert "output_kind" not in what_is_read({}, interruptible=True)


def test_stop_strings_keep_the_text_they_are_looked_for_in():
    assert "detokenize" not in what_is_read({"stop": ["```"]}, interruptible=False)


def test_verl_knows_the_loops_by_name():
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    for name, loop in (("klear_single_turn", "SeededSingleTurn"), ("klear_unseeded_single_turn", "FinalSingleTurn")):
        assert _agent_loop_registry[name]["_target_"] == f"klear_verl.trainer.seeded_agent_loop.{loop}"
