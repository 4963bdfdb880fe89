# SPDX-License-Identifier: Apache-2.0
"""Whatever a response holds in place of a program, `klear score` gives it a result."""

import json

import pytest

from klear_verl.scoring.cli import main

TESTS = {"inputs": ["1\n", "2\n"], "outputs": ["1\n", "2\n"]}
PROGRAM = "```python\nprint(input())\n```"
FENCED = "```python\n{}\n```"


@pytest.fixture(scope="module")
def score(tmp_path_factory):
    """Scores responses to one problem in a single run; returns the output rows."""
    folder = tmp_path_factory.mktemp("programs")

    def run(responses, *options):
        source, out = folder / "in.jsonl", folder / "out.jsonl"
        rows = [
            {"id": number, "data_source": "coder1_longcot", "response": f"<think></think>{text}", "ground_truth": TESTS}
            for number, text in enumerate(responses)
        ]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        status = main([str(source), "--out", str(out), "--jobs", "2", "--overwrite", "--no-progress", *options])
        return status, [json.loads(line) for line in out.read_text().splitlines()]

    return run


def verdicts(row):
    return row["status"], row["verdicts"]


@pytest.mark.parametrize("raw", [[], ["--raw-code"]], ids=["fenced", "raw"])
def test_strange_program_is_a_compile_error_or_malformed_and_the_next_is_judged(score, raw):
    programs = {
        "empty": ("", ("malformed", [])),
        "blank": (" \n\t", ("malformed", [])),
        "10 MB": ("x = 1\n" * 1_700_000 + "print(input())", ("graded", ["CE"] * 2)),
        "10 MB in one line": ("print(input()) #" + "x" * 10_000_000, ("graded", ["CE"] * 2)),
        "NUL": ("print(input())\0", ("graded", ["CE"] * 2)),
        "binary": ("".join(map(chr, range(256))).replace("`", ""), ("graded", ["CE"] * 2)),
        "lone surrogates": ("print('\udcff\ud800')", ("graded", ["CE"] * 2)),
        "words": ("The answer is 42.", ("graded", ["CE"] * 2)),
        "deep": ("(" * 100_000 + ")" * 100_000, ("graded", ["CE"] * 2)),
        "deeper than the compiler": ("-" * 500_000 + "1", ("graded", ["CE"] * 2)),
        "a byte order mark": ("\ufeffprint(input())", ("graded", ["AC"] * 2)),
        "an odd encoding declared": ("# coding: utf-7\nprint(input())", ("graded", ["AC"] * 2)),
        "CRLF": ("x = input()\r\nprint(x)\r\n", ("graded", ["AC"] * 2)),
    }
    texts = [text if raw else FENCED.format(text) for text, _ in programs.values()]
    status, rows = score([part for text in texts for part in (text, PROGRAM)], *raw)
    assert {name: verdicts(row) for name, row in zip(programs, rows[::2], strict=True)} == {
        name: expected for name, (_, expected) in programs.items()
    }, [row["detail"][:200] for row in rows]
    assert [verdicts(row) for row in rows[1::2]] == [("graded", ["AC"] * 2)] * len(programs)
    assert status == 0


def test_response_without_a_program_is_malformed(score):
    status, rows = score(["", "No idea.", "```cpp\nint main(){}\n```", "x" * 10_000_000, "`" * 1_000_000])
    assert [row["status"] for row in rows] == ["malformed"] * 5
    assert status == 0
