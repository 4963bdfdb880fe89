# SPDX-License-Identifier: Apache-2.0
"""Properties of finding the program in a response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.reward.extraction import extract_program


@pytest.mark.parametrize(
    "label", ["python", "py", "Python3", "PYTHON", "py3", "", "python main.py", "{.python}", "python:a.py"]
)
def test_python_labels_and_no_label_are_programs(label):
    assert extract_program(f"Here:\n```{label}\nprint(1)\n```\nDone.") == "print(1)"


def test_tilde_fence_is_a_fence():
    assert extract_program("~~~python\nprint(1)\n~~~") == "print(1)"


def test_crlf_counts_as_lf():
    assert extract_program("```python\r\nif x:\r\n    y()\r\n```\r\n") == "if x:\n    y()"


def test_last_of_several_blocks_is_chosen():
    assert extract_program("```python\na\n```\ntext\n```python\nb\n```") == "b"


def test_unlabelled_sample_output_after_the_program_is_not_the_program():
    assert extract_program("```python\nprint(1)\n```\nOutput:\n```\n1\n```") == "print(1)"


def test_other_languages_are_not_programs():
    assert extract_program("```cpp\nint main(){}\n```") is None


def test_unclosed_last_block_runs_to_the_end():
    assert extract_program("```python\nprint(1)\nprint(2)") == "print(1)\nprint(2)"


def test_closing_fence_stuck_to_the_last_line_is_cut_off():
    assert extract_program("```python\nprint(1)\nprint(2)```") == "print(1)\nprint(2)"


def test_block_never_closed_ends_where_the_next_labelled_one_begins():
    assert extract_program("```python\nold\n```python\nnew\n```") == "new"


def test_fences_in_an_indented_docstring_belong_to_the_program():
    program = 'def f():\n    """\n    ```python\n    f()\n    ```\n    """\n    return 1'
    assert extract_program(f"```python\n{program}\n```") == program


def test_longer_fence_encloses_shorter_ones():
    assert extract_program("````python\ns = '''\n```\n'''\n````") == "s = '''\n```\n'''"


def test_block_inside_a_markdown_block_is_found():
    assert extract_program("````markdown\nText\n```python\nprint(1)\n```\n````") == "print(1)"


def test_block_indented_in_a_list_loses_the_indentation():
    assert extract_program("1. So:\n   ```python\n   if x:\n       y()\n   ```") == "if x:\n    y()"


def test_empty_block_is_passed_over():
    assert extract_program("```python\nprint(1)\n```\n```python\n\n```") == "print(1)"


@pytest.mark.parametrize("text", ["", "print(1)", "`print(1)`", "```", "```python", "``` `` ```"])
def test_text_without_a_block_has_no_program(text):
    assert extract_program(text) is None


_PIECES = ["```", "~~~", "````", "python", "md", "\n", "\r\n", "\t", "  ", "x = 1", "`", "markdown"]


@given(st.one_of(st.text(), st.lists(st.sampled_from(_PIECES)).map("".join)))
def test_no_text_makes_it_raise_and_a_program_is_never_blank(text):
    program = extract_program(text)
    assert program is None or program.strip()


@given(st.lists(st.text("abc =()'\"#: ", min_size=1), min_size=1).map("\n".join).filter(str.strip))
def test_any_fenceless_program_comes_back_unchanged(program):
    assert extract_program(f"text\n```python\n{program}\n```\ntext") == program
