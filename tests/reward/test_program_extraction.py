# SPDX-License-Identifier: Apache-2.0
"""Properties of finding the program in a response."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from klear_verl.reward.extraction import extract_program


@pytest.mark.parametrize(
    "label",
    ["python", "py", "Python3", "PYTHON", "py3", "python3.11", "pypy3", "", " python ", "python main.py", "{.python}"],
)
def test_python_labels_and_no_label_are_programs(label):
    assert extract_program(f"Here:\n```{label}\nprint(1)\n```\nDone.") == "print(1)"


def test_label_ends_at_a_colon_or_comma():
    assert extract_program("```python:a.py\nprint(1)\n```") == "print(1)"
    assert extract_program("```py,editable\nprint(1)\n```") == "print(1)"


def test_tilde_fence_is_a_fence():
    assert extract_program("~~~python\nprint(1)\n~~~") == "print(1)"


def test_crlf_counts_as_lf():
    assert extract_program("```python\r\nif x:\r\n    y()\r\n```\r\n") == "if x:\n    y()"


def test_cr_alone_counts_as_lf():
    assert extract_program("```python\rif x:\r    y()\r```\r") == "if x:\n    y()"


def test_last_of_several_blocks_is_chosen():
    assert extract_program("```python\na\n```\ntext\n```python\nb\n```") == "b"


def test_unlabelled_sample_output_after_the_program_is_not_the_program():
    assert extract_program("```python\nprint(1)\n```\nOutput:\n```\n1\n```") == "print(1)"


@pytest.mark.parametrize("label", ["cpp", "text", "bash", "pycon", "python-repl", "json", "pyx"])
def test_other_languages_are_not_programs(label):
    assert extract_program(f"```{label}\nint main(){{}}\n```") is None


def test_unclosed_last_block_runs_to_the_end():
    assert extract_program("```python\nprint(1)\nprint(2)") == "print(1)\nprint(2)"


def test_closing_fence_stuck_to_the_last_line_is_cut_off():
    assert extract_program("```python\nprint(1)\nprint(2)```") == "print(1)\nprint(2)"


def test_closing_fence_stuck_to_the_last_line_is_cut_off_before_prose_too():
    assert extract_program("```python\nprint(1)\nprint(2)```\nThis prints 1 and 2.") == "print(1)\nprint(2)"


def test_line_that_ends_in_backticks_stays_where_the_block_is_closed():
    program = 's = """\nuse ```x```\n"""'
    assert extract_program(f"```python\n{program}\n```") == program


def test_block_closed_a_little_too_far_to_the_right_ends_there():
    assert extract_program("1. So:\n```python\nprint(1)\n   ```\nDone.") == "print(1)"
    assert extract_program("```python\nprint(1)\n  ```\n```text\n1\n```") == "print(1)"


def test_fence_after_a_list_marker_opens_a_block_of_that_indentation():
    assert extract_program("- ```python\n  if x:\n      y()\n  ```") == "if x:\n    y()"
    assert extract_program("10. ```python\n    print(1)\n    ```") == "print(1)"


def test_python_fence_at_the_end_of_a_line_of_text_opens_a_block():
    assert extract_program("The program is: ```python\nprint(1)\n```\nDone.") == "print(1)"
    assert extract_program("It prints ```\n1\n```") is None


def test_stray_fence_does_not_hide_the_program_after_it():
    assert extract_program("```\n\n```python\nprint(1)\n```") == "print(1)"
    assert extract_program("Title\n~~~~~\n```python\nprint(1)\n```\nDone.") == "print(1)"


def test_fence_of_the_other_character_belongs_to_the_program():
    assert extract_program("~~~python\ns = '''\n```\n'''\n~~~") == "s = '''\n```\n'''"


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
    assert extract_program("1. So:\n   ```python\n  if x:\n      y()\n   ```") == "if x:\n   y()"
    assert extract_program("So:\n\t```python\n\tprint(1)\n\t```") == "print(1)"


def test_empty_block_is_passed_over():
    assert extract_program("```python\nprint(1)\n```\n```python\n\n```") == "print(1)"


@pytest.mark.parametrize("text", ["", "print(1)", "`print(1)`", "```", "```python", "``` `` ```", "``\nx\n``"])
def test_text_without_a_block_has_no_program(text):
    assert extract_program(text) is None


PIECES = [
    "```",
    "~~~",
    "````",
    "python",
    "md",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "  ",
    "x = 1",
    "`",
    "markdown",
    "- ",
    "\0",
    "\udcff",
]
responses = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join))


@given(responses)
def test_no_text_makes_it_raise_and_a_program_is_never_blank(text):
    program = extract_program(text)
    assert program is None or program.strip()


@given(responses)
def test_program_is_a_run_of_lines_of_the_response_without_their_indentation(text):
    program = extract_program(text)
    lines = re.split("\r\n|\r|\n", text)
    found = (program or "").split("\n")
    starts = range(len(lines) - len(found) + 1)
    *whole, last = found
    assert program is None or any(
        all(
            line.endswith(part) and not line.removesuffix(part).strip()
            for line, part in zip(lines[start:], whole, strict=False)
        )
        and last in lines[start + len(whole)]
        for start in starts
    )


@given(responses)
@example("~~~\n```\nx\n```\n~~~")
def test_program_found_is_found_again_in_a_block_of_its_own(text):
    program = extract_program(text)
    if program is not None:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", program)), default=0))
        assert extract_program(f"text\n{fence}python\n{program}\n{fence}\ntext") == program


@given(responses.map(lambda text: text.replace("\r", "")))
def test_crlf_and_lf_give_the_same_program(text):
    assert extract_program(text.replace("\n", "\r\n")) == extract_program(text)


@given(st.lists(st.text("abc =()'\"#: ", min_size=1), min_size=1).map("\n".join).filter(str.strip), responses)
def test_fenceless_program_comes_back_unchanged_after_any_other_block_but_python(program, noise):
    noise = noise.replace("`", "").replace("~", "")
    assert extract_program(f"{noise}\n```python\n{program}\n```\n{noise}") == program


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "`" * MEGABYTE,
        "`" * MEGABYTE + "x`",
        "```" + " " * MEGABYTE + "`",
        " " * MEGABYTE + "x",
        "\t" * MEGABYTE + "```",
        "- " * (MEGABYTE // 2),
        "```\n" * (MEGABYTE // 4),
        "```python\n" * (MEGABYTE // 10),
        "```a" * (MEGABYTE // 4),
        "``` " * (MEGABYTE // 4),
        "```md\n" * (MEGABYTE // 6),
        "~~~\n" + "````\n```\n" * (MEGABYTE // 9),
        "```python\n" + " ```\n" * (MEGABYTE // 5),
        "```python\n" + "x```\n" * (MEGABYTE // 5),
        " " * (MEGABYTE // 2) + "```\n" + "  ```x\n" * (MEGABYTE // 14),
        "\n".join(" " * width + "```" for width in range(1400)),
        "\n".join("`" * width for width in range(1400, 2, -1)),
        "\r" * MEGABYTE,
    ],
    ids=lambda text: re.sub(r"(.{1,9})\1{9,}", r"(\1)*", text, flags=re.DOTALL)[:30].encode("unicode_escape").decode(),
)
def test_megabyte_made_to_be_slow_takes_time_in_proportion(text):
    started = time.process_time()
    extract_program(text)
    assert time.process_time() - started < 3  # a quadratic step would take minutes
