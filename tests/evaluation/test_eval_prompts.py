# SPDX-License-Identifier: Apache-2.0
"""Prompts are rendered by the chat template and never cut; a sample's seed depends on its place alone."""

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.errors import DataError
from klear_verl.evaluation.benchmark import read_benchmark, render_prompts, requests_of, sample_seed


@pytest.fixture
def benchmark_of(config):
    return lambda settings: read_benchmark(settings.benchmarks[0], settings.reward, lambda *_: None)


def test_a_prompt_is_rendered_with_the_opening_of_the_answer(config, benchmark_of, char_tokenizer):
    prompts = render_prompts(benchmark_of(config()), char_tokenizer, config())
    assert "".join(map(chr, prompts[0])) == "<user>0 + 1 ?<assistant>"


def test_a_prompt_that_just_fits_is_taken_and_one_token_more_is_an_error(config, benchmark_of, char_tokenizer):
    length = len("<user>0 + 1 ?<assistant>")
    fits = config(engine={"max_model_len": length + 16})
    assert len(render_prompts(benchmark_of(fits), char_tokenizer, fits)) == 3
    short = config(engine={"max_model_len": length + 15})
    with pytest.raises(DataError, match=rf"line 1: the prompt has {length} tokens.* = {length - 1}\b"):
        render_prompts(benchmark_of(short), char_tokenizer, short)


def test_a_prompt_that_the_template_refuses_is_named(config, benchmark_of, char_tokenizer, monkeypatch):
    def refuse(*_, **__):
        raise jinja2.TemplateError("roles must alternate")

    monkeypatch.setattr(char_tokenizer, "apply_chat_template", refuse)
    with pytest.raises(DataError, match=r"line 1: the chat template refuses the prompt .roles must alternate"):
        render_prompts(benchmark_of(config()), char_tokenizer, config())


def test_every_sample_is_asked_once(config, benchmark_of, char_tokenizer):
    benchmark = benchmark_of(config())
    requests = list(requests_of(benchmark, render_prompts(benchmark, char_tokenizer, config()), seed=0))
    assert sorted(request.key for request in requests) == [(i, j) for i in range(3) for j in range(2)]


def test_seeds_differ_between_samples_problems_benchmarks_and_evaluations():
    base = sample_seed(0, "sums", 0, 0)
    others = [sample_seed(1, "sums", 0, 0), sample_seed(0, "code", 0, 0), sample_seed(0, "sums", 1, 0)]
    assert len({base, *others, sample_seed(0, "sums", 0, 1)}) == 5


@given(st.integers(0, 2**63), st.integers(0, 10**6), st.integers(0, 10**4))
def test_a_seed_fits_a_signed_32_bit_integer(seed, problem, sample):
    assert 0 <= sample_seed(seed, "sums", problem, sample) < 2**31
