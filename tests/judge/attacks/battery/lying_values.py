# SPDX-License-Identifier: Apache-2.0
"""Results that would like to decide themselves what they are equal to."""

from __future__ import annotations

from klear_verl.judge import Verdict
from tests.judge.attacks.battery.attack import ANY, FAILS, function

_ALL = "__eq__ = lambda s, o: True; __ne__ = lambda s, o: False; __hash__ = lambda s: 0"
_LIARS = {
    "object": f"class E: {_ALL}\ndef f(): return E()",
    "int": f"class E(int): {_ALL}\ndef f(): return E(1)",
    "float": f"class E(float): {_ALL}; __sub__ = __rsub__ = lambda s, o: 0.0\ndef f(): return E(1.0)",
    "str": f"class E(str): {_ALL}; encode = lambda s, *a: b'42'\ndef f(): return E('x')",
    "bytes": f"class E(bytes): {_ALL}\ndef f(): return E(b'x')",
    "list": f"class E(list): {_ALL}; __len__ = lambda s: 1\ndef f(): return E([1])",
    "tuple": f"class E(tuple): {_ALL}\ndef f(): return E((1,))",
    "dict": f"class E(dict): {_ALL}\ndef f(): return E({{1: 2}})",
    "dict_key": f"class E(str): {_ALL}\ndef f(): return {{E('x'): 42}}",
    "nested": f"class E: {_ALL}\ndef f(): return [[E()], E()]",
    "disguise": f"class E: {_ALL}; __class__ = property(lambda s: int)\ndef f(): return E()",
    "number_protocols": """
class E:
    __int__ = __index__ = __trunc__ = lambda s: 42
    __float__ = lambda s: 42.0
def f(): return E()
""",
    "text_protocols": """
class E:
    __str__ = __repr__ = lambda s: '42'
    __format__ = lambda s, f: '42'
def f(): return E()
""",
    "pickle_protocol": "class E:\n    def __reduce__(s): return (int, (42,))\ndef f(): return E()",
    "json_protocol": """
class E(dict):
    items = lambda s: [('x', 42)]
    __iter__ = lambda s: iter(['x'])
def f(): return E(y=1)
""",
    "metaclass": "class M(type):\n    __eq__ = lambda s, o: True\n    __hash__ = lambda s: hash(int)\n"
    "class E(metaclass=M):\n    __eq__ = lambda s, o: True\ndef f(): return E()",
    "magic_mock": "from unittest.mock import ANY\ndef f(): return ANY",
    "matcher": """
from unittest.mock import MagicMock
def f():
    m = MagicMock()
    m.__eq__.return_value = True
    return m
""",
    "not_a_number": "def f(): return float('nan')",
    "boolean_for_a_number": "def f(): return True",
    "generator": "def f():\n    while True: yield 42",
    "function": "def f(): return f",
    "module": "import sys\ndef f(): return sys",
    "file": "def f(): return open(0)",
    "set": "def f(): return {42}",
    "huge_int": "def f(): return 7 ** 100000",
    "huge_int_in_list": "def f(): return [7 ** 100000]",
    "huge_text": "def f(): return 'x' * (3 << 20)",
    "huge_list": "def f(): return [0] * 10**8",
    "shared_list": "def f():\n    x = [0] * 100\n    for _ in range(6): x = [x] * 100\n    return x",
    "endless_nesting": "def f():\n    x = []\n    x.append(x)\n    return x",
    "deep_nesting": "def f():\n    x = []\n    for _ in range(10**5): x = [x]\n    return x",
    "growing_list": "class E(list):\n    def __iter__(s):\n        while True: yield 42\ndef f(): return E([1])",
    "nothing": "def f(): pass",
    "raises": "def f(): raise KeyError(42)",
    "no_such_function": "g = 42",
    "not_callable": "f = 42",
    "callable_object": "class F:\n    __call__ = lambda s: s\nf = F()",
    "entry_point_by_module_getattr": "def __getattr__(name): return 42",
    "property_of_solution": "class Solution:\n    f = property(lambda s: 42)",
    "forged_solution_class": """
class M(type):
    def __getattribute__(c, n): return type.__getattribute__(c, n) if n[0] == '_' else 42
class Solution(metaclass=M): pass
""",
}
_HEAVY = {"huge_int", "huge_int_in_list", "huge_text", "huge_list", "shared_list", "growing_list", "generator"}

ATTACKS = (
    *(
        function(f"value_{name}", "passes for 42 without being it", source, allowed=ANY if name in _HEAVY else FAILS)
        for name, source in _LIARS.items()
    ),
    function(
        "value_mutated_argument",
        "changes the argument, in case the expected value is the same object",
        "def f(x):\n    x.clear()\n    x.append(42)\n    return x",
        args=[[1, 2]],
        expected=[1, 2],
        allowed=frozenset({Verdict.WA}),
    ),
    function(
        "value_remembered_between_tests",
        "the first test's argument object, changed, is what the second one gets",
        "kept = []\ndef f(x):\n    kept.append(x)\n    kept[0].append(7)\n    return len(x) if len(x) > 3 else -1",
        args=[[1, 2]],
        expected=4,
        tests=3,
    ),
)
