# SPDX-License-Identifier: Apache-2.0
"""Calls of an entry point: how it is found, what counts as equal, and that no object of the solution takes part in
the comparison.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from klear_verl.judge import CallTest, Judge, Judgement, Problem, Verdict

Call = Callable[..., Judgement]


def test_global_function_is_called(call: Call) -> None:
    assert call("def f(a, b): return a + b", [1, 2], 3).acc


def test_method_of_solution_is_called(call: Call) -> None:
    assert call("class Solution:\n    def f(self, nums: List[int]) -> int: return max(nums)", [[1, 5, 2]], 5).acc


def test_names_that_leetcode_provides_are_there(call: Call) -> None:
    assert call(
        "def f(x: Optional[int]): return sum(Counter(accumulate([x, x])).values()) + floor(sqrt(4))", [1], 4
    ).acc


def test_builtin_pow_is_not_hidden_by_math(call: Call) -> None:
    assert call("def f(): return pow(3, 4, 5)", [], 1).acc


def test_main_guard_does_not_run(call: Call) -> None:
    assert call("def f(): return 1\nif __name__ == '__main__': input()", [], 1).acc


def test_output_while_called_is_no_matter(call: Call) -> None:
    assert call("def f():\n    print('debug')\n    return 1", [], 1).acc


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(1, (2, 3))", [1, [2, 3]]),
        ("{1: 'a'}", {"1": "a"}),
        ("True", True),
        ("None", None),
        ("2 ** 20000", 2**20000),
        ("0.1 + 0.2", 0.30000000000000004),
        ("'\\ud800\\0'", "\ud800\0"),
        ("[[]] * 3", [[], [], []]),
        ("1.0", 1),
    ],
    ids=["tuple", "int_key", "bool", "none", "huge_int", "float", "odd_text", "nested", "float_and_int"],
)
def test_plain_results_are_equal_to_their_json(call: Call, expression: str, expected: object) -> None:
    judgement = call(f"def f(): return {expression}", [], expected)
    assert judgement.acc, judgement.detail


EQUAL_TO_ALL = "__eq__ = lambda s, o: True; __ne__ = lambda s, o: False; __hash__ = lambda s: 0"
FORGERIES = {
    "object_equal_to_all": f"class E: {EQUAL_TO_ALL}\ndef f(): return E()",
    "int_equal_to_all": f"class E(int): {EQUAL_TO_ALL}\ndef f(): return E(1)",
    "str_equal_to_all": f"class E(str): {EQUAL_TO_ALL}\ndef f(): return E('x')",
    "list_equal_to_all": f"class E(list): {EQUAL_TO_ALL}\ndef f(): return E()",
    "dict_equal_to_all": f"class E(dict): {EQUAL_TO_ALL}\ndef f(): return E()",
    "nested_equal_to_all": f"class E: {EQUAL_TO_ALL}\ndef f(): return [E()]",
    "disguised_class": f"class E: {EQUAL_TO_ALL}; __class__ = property(lambda s: int)\ndef f(): return E()",
    "leaves_early": "import os\nos._exit(0)",
    "leaves_in_the_call": "import os\ndef f(): os._exit(0)",
    "sys_exit_in_the_call": "import sys\ndef f(): sys.exit(0)",
    "forged_frames": "import os\ndef f():\n    os.write(3, b'V')\n    os.write(3, b'[[[[')\n    os._exit(0)",
    "forged_deep_frame": "import os\ndef f():\n    os.write(3, b'V' + b'[' * 100000)\n    os._exit(0)",
    "forged_odd_frame": "import os\ndef f():\n    os.write(3, b'V{\"d\": [[[], 1]]}')\n    os._exit(0)",
    "forged_internal_error": "import os\ndef f():\n    os.write(3, b'Iinternal')\n    os._exit(70)",
    "huge_int": "def f(): return 7 ** 100000",
    "huge_int_in_list": "def f(): return [7 ** 100000]",
    "huge_value": "def f(): return [0] * 10**8",
    "huge_text": "def f(): return 'x' * (3 << 20)",
    "endless_nesting": "def f():\n    x = []\n    x.append(x)\n    return x",
    "deep_nesting": "def f():\n    x = []\n    for _ in range(10**5): x = [x]\n    return x",
    "set_result": "def f(): return {42}",
    "no_such_function": "g = 1",
    "not_callable": "f = 42",
    "patched_json": "import json\njson.dumps = lambda *a, **k: '42x'\ndef f(): return 1",
    "patched_type": "import builtins\nbuiltins.type = lambda x: int\ndef f(): return 'a'",
    "assertion": "def f(): assert False",
}


@pytest.mark.parametrize("source", FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_result_is_not_accepted(call: Call, source: str) -> None:
    judgement = call(source, [], 42)
    assert judgement.verdicts[0] not in (Verdict.AC, Verdict.IE), judgement


def test_mutated_arguments_do_not_reach_the_next_test(strict_judge: Judge) -> None:
    tests = tuple(CallTest(args=[[1]], expected=1) for _ in range(3))
    source = "seen = []\ndef f(x):\n    x.append(9)\n    seen.append(1)\n    return len(seen)"
    assert strict_judge.run(Problem(id="m", tests=tests, entry_point="f"), source).acc


def test_alternative_values_are_accepted(strict_judge: Judge) -> None:
    test = CallTest(args=[], expected=[1], alternatives=(1,))
    for value in ("1", "[1]"):
        assert strict_judge.run(Problem(id="a", tests=(test,), entry_point="f"), f"def f(): return {value}").acc
