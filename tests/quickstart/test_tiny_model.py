# SPDX-License-Identifier: Apache-2.0
"""The tokenizer and the tiny model made on the spot."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.quickstart import code_task, math_task, world

RNG = random.Random(0)
TEXTS = [
    text
    for problem in RNG.sample(math_task.all_additions(), 300)
    for text in (problem.prompt(), problem.demonstration(forgets_carry=False))
] + [
    text
    for problem in code_task.split(RNG, 0)[0]
    for text in (problem.prompt(), problem.demonstration(careless=False), problem.demonstration(careless=True))
]
TOKENIZER = world.build_tokenizer(TEXTS, 512)


@pytest.fixture(scope="module")
def model():
    return world.build_model(TOKENIZER, seed=0)


@given(st.text(max_size=40))
def test_any_text_survives_a_round_trip(text):
    assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text


def test_the_tasks_texts_survive_a_round_trip():
    assert all(TOKENIZER.decode(TOKENIZER(text).input_ids, skip_special_tokens=True) == text for text in TEXTS)


@given(st.integers(0, 10**9))
def test_each_digit_is_a_token_of_its_own(number):
    assert TOKENIZER.convert_ids_to_tokens(TOKENIZER(str(number)).input_ids) == list(str(number))


@pytest.mark.parametrize("tag", ["<think>", "</think>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"])
def test_tags_are_one_token_each(tag):
    assert len(TOKENIZER(tag).input_ids) == 1


def test_think_tags_stay_in_decoded_text_and_chat_tags_do_not():
    ids = TOKENIZER("<|im_start|><think>1</think><|im_end|>").input_ids
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "<think>1</think>"


def test_the_chat_format_is_qwens_without_a_system_prompt():
    chat = [{"role": "user", "content": "hi"}]
    shown = TOKENIZER.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert shown == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


def test_end_and_padding_are_different_tokens():
    assert TOKENIZER.decode([TOKENIZER.eos_token_id]) == "<|im_end|>"
    assert TOKENIZER.pad_token_id != TOKENIZER.eos_token_id


def test_the_vocabulary_is_the_size_asked_for_and_the_models_is_exactly_the_same(model):
    assert len(TOKENIZER) <= 512
    assert model.config.vocab_size == len(TOKENIZER) == model.get_input_embeddings().weight.shape[0]


def test_the_model_ends_and_pads_with_the_tokenizers_tokens(model):
    for config in (model.config, model.generation_config):
        assert (config.eos_token_id, config.pad_token_id) == (TOKENIZER.eos_token_id, TOKENIZER.pad_token_id)


def test_the_model_is_about_half_a_million_parameters_in_float32(model):
    assert 3e5 < sum(parameter.numel() for parameter in model.parameters()) < 8e5
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_weights_are_a_function_of_the_seed(model):
    again, other = (world.build_model(TOKENIZER, seed).state_dict() for seed in (0, 1))
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())
    assert not torch.equal(other["lm_head.weight"], again["lm_head.weight"])


def test_what_is_saved_loads_as_the_same_tokenizer_and_model(model, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    world.save_model(tmp_path, TOKENIZER, model)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert all(tokenizer(text).input_ids == TOKENIZER(text).input_ids for text in TEXTS[:50])
    assert tokenizer.chat_template == TOKENIZER.chat_template
    ids = torch.tensor([TOKENIZER(TEXTS[0]).input_ids])
    with torch.no_grad():
        assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path)(ids).logits, model(ids).logits)
