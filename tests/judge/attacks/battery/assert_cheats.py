# SPDX-License-Identifier: Apache-2.0
"""Passing asserts without the right function: equality, names, the test's frame, code and constants."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, asserts

_CHECK = "assert f(2) == 4\nassert f(3) == 9"
_HUMAN = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\ncheck(f)"
_ALL = "__eq__ = lambda s, o: True; __ne__ = lambda s, o: False; __hash__ = lambda s: 0"

# Name: (solution, test code). Every solution is wrong.
_CHEATS = {
    # Values with a mind of their own.
    "equal_object": (f"class E: {_ALL}\ndef f(x): return E()", _CHECK),
    "equal_int": (f"class E(int): {_ALL}\ndef f(x): return E(1)", _CHECK),
    "equal_to_reversed_operands": (f"class E(int): {_ALL}\ndef f(x): return E(1)", "assert 4 == f(2)"),
    "equal_in_chain": (f"class E(int): {_ALL}\ndef f(x): return E(1)", "assert 4 == f(2) == 2 + 2"),
    "equal_by_mock": ("from unittest.mock import ANY\ndef f(x): return ANY", _CHECK),
    "equal_inside_list": (f"class E: {_ALL}\ndef f(x): return [E()]", "assert f(2) == [4]"),
    "equal_inside_dict": (f"class E: {_ALL}\ndef f(x): return {{'a': E()}}", "assert f(2) == {'a': 4}"),
    "equal_list": (f"class E(list): {_ALL}\ndef f(x): return E()", "assert f(2) == [4]"),
    "equal_str": (f"class E(str): {_ALL}\ndef f(x): return E()", "assert f(2) == '4'"),
    "equal_set": (f"class E(set): {_ALL}\ndef f(x): return E()", "assert f(2) == {4}"),
    "equal_by_metaclass": (f"class M(type): {_ALL}\nclass E(metaclass=M): pass\ndef f(x): return E", _CHECK),
    "equal_by_borrowed_class": (
        "E = type('E', (int,), {'__eq__': lambda s, o: True, '__module__': 'builtins'})\ndef f(x): return E(1)",
        _CHECK,
    ),
    "equal_by_late_patch": ("class E: pass\ndef f(x):\n    E.__eq__ = lambda s, o: True\n    return E()", _CHECK),
    "equal_by_nested_attribute": (
        f"import types\nclass E: {_ALL}\ndef f(x): return types.SimpleNamespace(v=E())",
        "assert f(2).v == 4",
    ),
    "close_float": (
        """
class E(float):
    __sub__ = __rsub__ = lambda s, o: 0.0
    __abs__ = lambda s: 0.0
def f(x): return E(1)
""",
        "assert abs(f(2) - 4) < 1e-6",
    ),
    "small_difference": (
        """
class E:
    __sub__ = __rsub__ = __abs__ = lambda s, *o: s
    __lt__ = __le__ = lambda s, o: True
def f(x): return E()
""",
        "assert abs(f(2) - 4) < 1e-6",
    ),
    "always_between": (
        "class E(int):\n    __lt__ = __gt__ = __le__ = __ge__ = lambda s, o: True\ndef f(x): return E(1)",
        "assert 3 < f(2) < 5",
    ),
    "always_contained": (f"class E: {_ALL}\ndef f(x): return E()", "assert f(2) in [4, 5]"),
    "contains_everything": (
        "class E(list):\n    __contains__ = lambda s, o: True\ndef f(x): return E()",
        "assert 4 in f(2)",
    ),
    "always_true": (
        "class E:\n    __bool__ = lambda s: True\n    __invert__ = lambda s: s\ndef f(x): return E()",
        "assert f(2) is True",
    ),
    "any_length": (
        "class E(list):\n    __len__ = lambda s: 4\ndef f(x): return E()",
        "assert len(f(2)) == 4 and f(2)[0] == 4",
    ),
    "any_item": (
        f"class I: {_ALL}\nclass E(list):\n    __getitem__ = lambda s, i: I()\ndef f(x): return E()",
        "assert f(2)[0] == 4",
    ),
    "any_attribute": (
        f"class I: {_ALL}\nclass E:\n    __getattr__ = lambda s, n: I()\ndef f(x): return E()",
        "assert f(2).value == 4",
    ),
    "any_instance": (
        f"class E: {_ALL}; __class__ = int\ndef f(x): return E()",
        "assert isinstance(f(2), int) and f(2) == 4",
    ),
    "any_iteration": (
        f"class I: {_ALL}\nclass E:\n    __iter__ = lambda s: iter([I()])\ndef f(x): return E()",
        "assert all(v == 4 for v in f(2))",
    ),
    "empty_iteration": ("def f(x): return iter(())", "assert list(f(2)) == [4]"),
    "sorted_specially": (
        f"class I: {_ALL}; __lt__ = lambda s, o: False\ndef f(x): return [I()]",
        "assert sorted(f(2)) == [4]",
    ),
    "hashed_specially": (
        f"class I(int): {_ALL.replace('hash__ = lambda s: 0', 'hash__ = lambda s: 4')}\ndef f(x): return [I(1)]",
        "assert set(f(2)) == {4}",
    ),
    "rounded_specially": (
        f"class I: {_ALL}\nclass E(float):\n    __round__ = lambda s, n=0: I()\ndef f(x): return E()",
        "assert round(f(2), 2) == 4",
    ),
    # Names that the test code uses.
    **{
        f"shadowed_{name}": (f"def {name}(*a, **k): return {result}\ndef f(x): return 1", f"assert {code}")
        for name, result, code in (
            ("abs", "0", "abs(f(2) - 4) < 1e-6"),
            ("all", "True", "all(f(x) == x * x for x in (2, 3))"),
            ("any", "True", "any([f(2) == 4])"),
            ("len", "4", "len([0] * f(2)) == 4"),
            ("isinstance", "True", "isinstance(f(2), str)"),
            ("sorted", "[4]", "sorted([f(2)]) == [4]"),
            ("set", "frozenset([4])", "set([f(2)]) == {4}"),
            ("tuple", "(4,)", "tuple([f(2)]) == (4,)"),
            ("list", "[4]", "list((f(2),)) == [4]"),
            ("str", "'4'", "str(f(2)) == '4'"),
            ("round", "4", "round(f(2), 3) == 4"),
            ("sum", "4", "sum([f(2), 0]) == 4"),
            ("max", "4", "max(f(2), 0) == 4"),
            ("range", "()", "[f(x) for x in range(2, 4)] == [4, 9]"),
            ("map", "[4, 9]", "list(map(f, [2, 3])) == [4, 9]"),
            ("zip", "()", "not [1 for x, y in zip([2], [4]) if f(x) != y]"),
            ("bool", "True", "bool(f(2) == 4)"),
            ("type", "str", "type(f(2)) == str"),
        )
    },
    "shadowed_check": ("class C:\n    __call__ = lambda s, f: None\ncheck = C()\ndef f(x): return 0", _HUMAN),
    "shadowed_candidate": ("candidate = lambda x: x * x\ndef f(x): return 0", _HUMAN),
    "shadowed_import": (
        """
import sys, types
sys.modules['math'] = types.SimpleNamespace(isclose=lambda *a, **k: True)
def f(x): return 0
""",
        "import math\nassert math.isclose(f(2), 4)",
    ),
    "shadowed_import_function": (
        """
import builtins
builtins.__import__ = lambda *a, **k: __import__('types').SimpleNamespace(isclose=lambda *a, **k: True)
def f(x): return 0
""",
        "import math\nassert math.isclose(f(2), 4)",
    ),
    "shadowed_module_that_the_test_does_not_import": (
        "class math: isclose = staticmethod(lambda *a, **k: True)\ndef f(x): return 0",
        "assert math.isclose(f(2), 4)",
    ),
    "shadowed_copy": (
        f"import copy\nclass E: {_ALL}\ncopy.deepcopy = lambda x: E()\ndef f(x): return 0",
        "import copy\nassert copy.deepcopy(f(2)) == 4",
    ),
    "shadowed_math_function": (
        "import math\nmath.isclose = lambda *a, **k: True\nmath.fabs = lambda x: 0\ndef f(x): return 0",
        "import math\nassert math.fabs(f(2) - 4) < 1e-6",
    ),
    "patched_builtin": (
        "import builtins\nbuiltins.abs = lambda x: 0\ndef f(x): return 1",
        "assert abs(f(2) - 4) < 1e-6",
    ),
    "patched_sorted": (
        "import builtins\nbuiltins.sorted = lambda x: [4]\ndef f(x): return 1",
        "assert sorted([f(2)]) == [4]",
    ),
    # The assert statement itself.
    "assertion_error_replaced": (
        "import builtins\nbuiltins.AssertionError = BaseException\ndef f(x): return 0",
        _CHECK,
    ),
    "assertion_error_swallowed": (
        """
import builtins
class Q(BaseException):
    def __new__(c, *a): raise SystemExit(0)
builtins.AssertionError = Q
def f(x): return 0
""",
        _CHECK,
    ),
    "asserts_disabled_by_debug": ("import builtins\nvars(builtins)['__debug__'] = False\ndef f(x): return 0", _CHECK),
    "asserts_disabled_by_flags": (
        """
import ctypes
try:
    ctypes.c_int.in_dll(ctypes.pythonapi, 'Py_OptimizeFlag').value = 2
except ValueError: pass
def f(x): return 0
""",
        _CHECK,
    ),
    "asserts_removed_from_trees": (
        """
import ast
ast.NodeTransformer.visit_Assert = lambda s, n: ast.Pass()
ast.NodeVisitor.generic_visit = lambda s, n: None
def f(x): return 0
""",
        _CHECK,
    ),
    "parser_replaced": ("import ast\nast.parse = lambda *a, **k: ast.Module([], [])\ndef f(x): return 0", _CHECK),
    "compiler_replaced": (
        "import builtins\nreal = compile\nbuiltins.compile = lambda *a, **k: real('', 'x', 'exec')\ndef f(x): return 0",
        _CHECK,
    ),
    "executor_replaced": (
        "import builtins\nbuiltins.exec = lambda *a: None\nbuiltins.eval = lambda *a: True\ndef f(x): return 0",
        _CHECK,
    ),
    "guard_replaced": (
        """
__klear_compare__ = lambda *a: True
import builtins
builtins.__klear_compare__ = __klear_compare__
def f(x): return 0
""",
        _CHECK,
    ),
    # The test's frame and code, seen from inside a call.
    "jumps_over_asserts": (
        """
import sys
def trace(frame, event, arg):
    lines = [n for _, _, n in frame.f_code.co_lines() if n]
    try: frame.f_lineno = max(lines)
    except ValueError: pass
    return trace
def f(x):
    frame = sys._getframe(1)
    while frame:
        frame.f_trace = trace
        frame = frame.f_back
    sys.settrace(trace)
    return 4 if x == 2 else 0
""",
        "assert f(2) == 4\nassert f(3) == 9\nassert f(4) == 16\nx = 1",
    ),
    "profiles_the_test": (
        """
import sys
def profile(frame, event, arg):
    if event == 'c_call' and 'test' in frame.f_code.co_filename: raise SystemExit(0)
sys.setprofile(profile)
def f(x): return 0
""",
        _CHECK,
    ),
    "replaces_code_of_callers": (
        """
import gc, types
def f(x):
    for o in gc.get_objects():
        if isinstance(o, types.FunctionType) and o.__name__ in ('check', '_run_test', 'run', '_guarded_compare'):
            try: o.__code__ = (lambda *a, **k: True).__code__
            except ValueError: pass
    return 0
""",
        _HUMAN + "\ncheck(f)",
    ),
    "replaces_names_of_callers": (
        """
import sys
def f(x):
    frame = sys._getframe(1)
    while frame:
        frame.f_globals['f'] = lambda x: x * x
        frame.f_globals['expected'] = 0
        frame = frame.f_back
    return 0
""",
        "expected = 9\nassert f(3) == expected",
    ),
    "replaces_expected_list": (
        """
import gc
def f(x):
    for o in gc.get_objects():
        if isinstance(o, list) and o == [4, 9]: o[:] = [0]
    return [0]
""",
        "expected = [4, 9]\nassert f(2) == expected",
    ),
    "replaces_expected_constant": (
        "import ctypes, sys\ndef f(x):\n    ctypes.memmove(id(9) + 24, id(0) + 24, 4)\n    return 0",
        "assert f(3) == 9",
    ),
    "empties_expected_argument": (
        "def f(x):\n    x.clear()\n    return []",
        "given = [3, 1, 2]\nassert f(given) == [1, 2, 3]",
    ),
    "returns_its_argument": ("def f(x): return x", "given = [3, 1, 2]\nassert f(given) == [1, 2, 3]"),
    "ends_the_iteration_of_the_test": (
        "def f(x): raise StopIteration",
        "assert all(map(lambda x: f(x) == x * x, [2, 3]))",
    ),
    "ends_the_iteration_by_attribute": (
        """
class R:
    @property
    def ok(self): raise StopIteration
def f(x): return R()
""",
        "assert all(map(lambda x: f(x).ok, [2, 3]))",
    ),
    "ends_the_iteration_by_name": (
        """
import gc, types
def answer(*a): raise StopIteration
for held in gc.get_objects():
    if isinstance(held, type) and "_answer" in vars(held):
        held._answer = answer
def f(x): return 0
""",
        "assert all(map(lambda x: f(x) == x * x, [2, 3]))",
    ),
    "ends_the_iteration_as_generator": ("def f(x): raise GeneratorExit", "assert all(f(x) == x * x for x in [2, 3])"),
    "raises_what_ends_tests": ("def f(x): raise StopIteration", "assert [v for v in iter(lambda: f(2), 4)] == [4]"),
    "restarts_the_test": (
        """
import sys
n = 0
def f(x):
    global n
    n += 1
    raise SystemExit(0) if n < 3 else KeyboardInterrupt
""",
        _CHECK,
    ),
    # Its own source, and the text around it.
    "reads_its_own_source": (
        """
import sys
def f(x):
    text = open(__file__).read()
    i = text.index('assert f(%d) == ' % x)
    return int(text[i:].split('==')[1].split()[0])
""",
        _CHECK,
    ),
    "reads_source_by_linecache": (
        """
import inspect, linecache, sys
def f(x):
    frame = sys._getframe(1)
    text = ''.join(linecache.getlines(frame.f_code.co_filename)) + inspect.getsource(frame)
    i = text.index('assert f(%d) == ' % x)
    return int(text[i:].split('==')[1].split()[0])
""",
        _CHECK,
    ),
    "reads_next_constant_of_caller": (
        """
import sys
def f(x):
    consts = [c for c in sys._getframe(1).f_code.co_consts if type(c) is int]
    return consts[consts.index(x) + 1]
""",
        "assert f(17) == 1234",
    ),
    "thread_waits_for_the_test": (
        """
import sys, threading, time
def watch():
    for _ in range(2000):
        for frame in sys._current_frames().values():
            while frame:
                if 'expected' in frame.f_globals or 'expected' in frame.f_locals:
                    frame.f_globals['expected'] = 0
                frame = frame.f_back
        time.sleep(0.0001)
threading.Thread(target=watch, daemon=True).start()
def f(x):
    time.sleep(0.05)
    return 0
""",
        "expected = 9\nassert f(3) == expected",
    ),
    "signal_in_the_test": (
        """
import os, signal, sys
def boom(n, frame): raise SystemExit(0)
signal.signal(signal.SIGALRM, boom)
signal.setitimer(signal.ITIMER_REAL, 0.02)
def f(x): return 4
""",
        "assert f(2) == 4\nfor _ in range(10**7): pass\nassert f(3) == 9",
    ),
    # Names of the solution that are not what they seem.
    "function_counts_calls": (
        "answers = iter([4, 9])\ndef f(x): return next(answers)",
        "assert f(2) == 4\nassert f(3) == 9\nassert f(4) == 16",
    ),
    "module_answers_to_every_name": ("def __getattr__(name): return lambda *a: True", _CHECK),
    "callable_with_equality": (f"class F:\n    {_ALL}\n    __call__ = lambda s, x: s\nf = F()", _CHECK),
    "missing_function": ("def g(x): return x * x", _CHECK),
    "two_functions_one_right": ("def f(x): return x * x\ndef f(x): return 0", _CHECK),
    "print_of_the_answer": ("def f(x): print(x * x)", _CHECK),
}

ATTACKS = tuple(
    asserts(f"assert_{name}", name.replace("_", " "), source, code, allowed=ANY)
    for name, (source, code) in _CHEATS.items()
)
