# SPDX-License-Identifier: Apache-2.0
"""Prompts over the limit are counted and named, never cut silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from klear_verl.errors import DataError
from klear_verl.launch.preflight.lengths import LengthCheck, Tokenizer, load_tokenizer
from tests.launch.preflight_samples import write_model

# "user: " and the newline of the chat template.
OVERHEAD = 7


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    model: Path = write_model(tmp_path_factory.mktemp("model"))
    return load_tokenizer(str(model), "model.path")


def measured(tokenizer: Tokenizer, *contents: str, limit: int) -> LengthCheck:
    lengths = LengthCheck(tokenizer, limit)
    for number, content in enumerate(contents):
        lengths.add([{"role": "user", "content": content}], f"rows, row {number}")
    return lengths


def judge(lengths: LengthCheck, **options: Any) -> str | None:
    return lengths.raise_if_cut("data.train_files", **({"filtered": False, "truncation": "error"} | options))


def test_prompt_of_exactly_the_limit_passes(tokenizer: Tokenizer) -> None:
    assert judge(measured(tokenizer, "x" * 10, limit=10 + OVERHEAD)) is None


def test_one_token_over_is_counted_and_the_first_row_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError) as caught:
        judge(measured(tokenizer, "x" * 10, "x" * 11, "x" * 20, limit=10 + OVERHEAD))
    assert "2 of 3 prompts exceed data.max_prompt_length=17; first rows, row 1 (18 tokens)" in caught.value.what
    assert "longest: 27" in caught.value.remedy


def test_filter_and_explicit_left_truncation_give_a_note(tokenizer: Tokenizer) -> None:
    lengths = measured(tokenizer, "x" * 11, limit=10 + OVERHEAD)
    assert "left out" in (judge(lengths, filtered=True) or "")
    assert "lose their beginning" in (judge(lengths, truncation="left") or "")


@pytest.mark.parametrize("truncation", ["right", "middle"])
def test_other_truncations_are_refused_because_verl_cuts_left_all_the_same(
    tokenizer: Tokenizer, truncation: str
) -> None:
    with pytest.raises(DataError):
        judge(measured(tokenizer, "x" * 11, limit=10 + OVERHEAD), truncation=truncation)


def test_template_that_refuses_a_prompt_names_the_row(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="row 0: the chat template refuses"):
        LengthCheck(tokenizer, 1, {"chat_template": "{{ raise_exception('no') }}"}).add([], "rows, row 0")
