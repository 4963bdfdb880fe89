# SPDX-License-Identifier: Apache-2.0
"""What the asserts of HumanEval and MBPP, and pytest modules, ask of a right solution."""

from __future__ import annotations

from tests.judge.idioms.honest.idiom import asserts, pytests

_SQUARE = "def f(x): return x * x"

IDIOMS = (
    asserts("asserts", _SQUARE, "assert f(2) == 4\nassert f(3) == 9", "assert f(-1) == 1"),
    asserts("asserts_with_messages", _SQUARE, "assert f(2) == 4, 'two'\nassert not f(0), f'zero: {f(0)}'"),
    asserts(
        "check_of_a_candidate",
        _SQUARE,
        """
METADATA = {'author': 'x'}
def check(candidate):
    assert candidate(2) == 4
    assert True, 'always'  # as HumanEval's checks have it; the line before is the one that can fail
check(f)
""",
    ),
    asserts(
        "prompt_and_body",
        '''
from typing import List

def f(x: List[int]) -> int:
    """Doc.
    >>> f([1])
    1
    """
    return sum(x)
''',
        "def check(candidate):\n    assert candidate([1, 2]) == 3\ncheck(f)",
    ),
    asserts(
        "loops_and_random_inputs",
        _SQUARE,
        "import random\nfor _ in range(100):\n    x = random.randint(-9, 9)\n    assert f(x) == x ** 2",
    ),
    asserts(
        "comprehensions",
        _SQUARE,
        "assert [f(x) for x in range(4)] == [0, 1, 4, 9]\nassert all(f(x) >= 0 for x in range(-3, 3))",
    ),
    asserts("map_and_key", _SQUARE, "assert list(map(f, [1, 2])) == [1, 4]\nassert sorted([-3, 1], key=f) == [1, -3]"),
    asserts(
        "closeness",
        "def f(x): return x / 3",
        """
import math
assert abs(f(1) - 0.333333) < 1e-5
assert math.isclose(f(2), 2 / 3)
assert math.fabs(f(3) - 1) < 1e-9
assert round(f(1), 3) == 0.333
""",
    ),
    asserts(
        "containers",
        "def f(x): return {'a': [x, (x, {x})], 'b': frozenset([x]), None: b'x'}",
        "assert f(1) == {'a': [1, (1, {1})], 'b': frozenset({1}), None: b'x'}",
    ),
    asserts(
        "tuples_stay_tuples",
        "def f(x): return (x, [x])",
        """
assert f(1) == (1, [1])
assert f(1) != [1, [1]]
assert isinstance(f(1), tuple) and isinstance(f(1)[1], list)
""",
    ),
    asserts(
        "types_of_results",
        "def f(x): return float(x)",
        "assert isinstance(f(1), float)\nassert type(f(1)) is float\nassert f(1) is not None",
    ),
    asserts(
        "sets",
        "def f(x): return set(x)",
        "assert f([1, 1, 2]) == {1, 2}\nassert f('aa') == set('a')\nassert sorted(f([2, 1])) == [1, 2]",
    ),
    asserts("complex_numbers", "def f(x): return complex(0, x)", "assert f(2) == 2j\nassert abs(f(2)) == 2"),
    asserts(
        "decimals_and_fractions",
        "from decimal import Decimal\nfrom fractions import Fraction\ndef f(x): return [Decimal(x), Fraction(x, 2)]",
        "from decimal import Decimal\nfrom fractions import Fraction\nassert f(3) == [Decimal(3), Fraction(3, 2)]",
    ),
    asserts(
        "counters_and_deques",
        """
from collections import Counter, deque, defaultdict, OrderedDict
def f(x): return Counter(x)
def g(x): return deque(x)
def h(x):
    d = defaultdict(list)
    d[x].append(1)
    return d
""",
        "assert f('aab') == {'a': 2, 'b': 1}\nassert list(g([1, 2])) == [1, 2]\nassert h('k') == {'k': [1]}",
    ),
    asserts(
        "dates",
        "import datetime\ndef f(y): return datetime.date(y, 1, 31)",
        "import datetime\nassert f(2024) == datetime.date(2024, 1, 31)",
    ),
    asserts(
        "iterators",
        "def f(n):\n    for i in range(n): yield i",
        "assert list(f(3)) == [0, 1, 2]\nassert sum(f(4)) == 6\nit = f(2)\nassert next(it) == 0 and next(it) == 1",
    ),
    asserts(
        "lazy_results",
        "def f(x): return map(int, x)\ndef g(x): return range(x)\ndef h(d): return d.keys()",
        "assert list(f('12')) == [1, 2]\nassert list(g(2)) == [0, 1]\nassert list(h({1: 2})) == [1]",
    ),
    asserts(
        "exceptions_expected",
        "def f(x):\n    if x < 0: raise ValueError('negative')\n    return x",
        "try:\n    f(-1)\n    assert False\nexcept ValueError as e:\n    assert 'negative' in str(e)",
    ),
    asserts(
        "own_exception_expected",
        "class TooBig(ValueError): pass\ndef f(x):\n    raise TooBig(x)",
        "try:\n    f(1)\nexcept TooBig:\n    pass\nelse:\n    assert False",
    ),
    asserts(
        "argument_changed_in_place",
        "def f(x): x.sort()",
        "given = [3, 1, 2]\nassert f(given) is None\nassert given == [1, 2, 3]",
    ),
    asserts(
        "argument_not_changed",
        "def f(x): return sorted(x)",
        "given = [3, 1, 2]\nassert f(given) == [1, 2, 3]\nassert given == [3, 1, 2]",
    ),
    asserts(
        "dict_changed_in_place", "def f(d): d['k'] = d.get('k', 0) + 1", "d = {}\nf(d)\nf(d)\nassert d == {'k': 2}"
    ),
    asserts(
        "function_as_argument",
        "def f(g, x): return g(g(x))",
        "assert f(lambda v: v + 1, 3) == 5\nassert f(str.upper, 'a') == 'A'",
    ),
    asserts(
        "function_as_result", "def f(n): return lambda x: x + n", "add = f(2)\nassert add(3) == 5 and f(1)(1) == 2"
    ),
    asserts(
        "keyword_arguments",
        "def f(a, *rest, b=2, **more): return [a, list(rest), b, more]",
        """
assert f(1) == [1, [], 2, {}]
assert f(1, 2, b=3, c=4) == [1, [2], 3, {'c': 4}]
assert f(*[1, 2], **{'b': 5}) == [1, [2], 5, {}]
""",
    ),
    asserts(
        "classes",
        """
class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
""",
        "s = Stack()\ns.push(1)\ns.push(2)\nassert s.pop() == 2 and len(s) == 1\nassert s.items == [1]",
    ),
    asserts(
        "class_with_equality",
        """
class P:
    def __init__(s, x): s.x = x
    def __eq__(s, o): return isinstance(o, P) and s.x == o.x
    def __add__(s, o): return P(s.x + o.x)
    def __repr__(s): return f'P({s.x})'
""",
        """
assert P(1) == P(1)
assert P(1) != P(2)
assert P(1) + P(2) == P(3)
assert repr(P(4)) == 'P(4)'
assert [P(1)] == [P(1)]
""",
    ),
    asserts(
        "properties_and_class_methods",
        """
class A:
    count = 0
    def __init__(self): type(self).count += 1
    @property
    def double(self): return self.count * 2
    @classmethod
    def make(cls): return cls()
    @staticmethod
    def three(): return 3
""",
        "a = A.make()\nassert A.count == 1 and a.double == 2 and A.three() == 3\nassert isinstance(a, A)",
    ),
    asserts(
        "dataclass_results",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: int = 0\ndef f(x): return P(x)",
        "assert f(1) == P(1, 0)\nassert f(2).x == 2",
    ),
    asserts(
        "linked_lists",
        """
class Node:
    def __init__(self, v, n=None): self.v, self.n = v, n
def f(head):
    out = []
    while head:
        out.append(head.v)
        head = head.n
    return out
""",
        "assert f(Node(1, Node(2))) == [1, 2]\nassert f(None) == []",
    ),
    asserts(
        "module_values",
        "LIMIT = 10\nTABLE = {'a': [1, 2]}\ndef f(): return LIMIT",
        "assert LIMIT == 10 and f() == 10\nassert TABLE['a'][1] == 2",
    ),
    asserts(
        "state_between_calls",
        "count = 0\ndef f():\n    global count\n    count += 1\n    return count",
        "assert f() == 1\nassert f() == 2",
    ),
    asserts(
        "imports_of_the_solution",
        "import math\nfrom collections import Counter\ndef f(x): return math.sqrt(x)",
        "assert f(4) == 2\nassert math.floor(2.5) == 2\nassert Counter('aa')['a'] == 2",
    ),
    asserts(
        "helpers_in_the_test",
        _SQUARE,
        "def is_square(n):\n    return int(n ** 0.5) ** 2 == n\nassert all(is_square(f(i)) for i in range(10))",
    ),
    asserts("not_a_number", "def f(): return float('nan')", "import math\nassert math.isnan(f())\nassert f() != f()"),
    asserts(
        "infinities",
        "def f(): return [float('inf'), -float('inf'), -0.0]",
        "assert f() == [float('inf'), float('-inf'), 0]",
    ),
    asserts("huge_integers", "def f(n): return 7 ** n", "assert f(5000) == 7 ** 5000"),
    asserts("unicode", "def f(x): return x[::-1]", "assert f('añ🙂') == '🙂ña'"),
    asserts(
        "large_values",
        "def f(n): return list(range(n))",
        "assert f(200000) == list(range(200000))\nassert sum(f(1000)) == 499500",
    ),
    asserts("bytes", "def f(x): return x.encode(), bytearray(x.encode())", "assert f('a') == (b'a', bytearray(b'a'))"),
    asserts(
        "main_guard_does_not_run", "def f(x): return x\nif __name__ == '__main__':\n    f(input())", "assert f(1) == 1"
    ),
    asserts(
        "docstring_and_name", 'def f(x):\n    "Doc."\n    return x', "assert f.__name__ == 'f'\nassert callable(f)"
    ),
    asserts(
        "numpy_results",
        "import numpy as np\ndef f(x): return np.cumsum(x)",
        """
import numpy as np
assert np.array_equal(f([1, 2]), [1, 3])
assert f([1, 2]).tolist() == [1, 3]
assert np.allclose(f([1.0]), [1.0])
""",
        needs="numpy",
    ),
    asserts("numpy_scalars", "import numpy as np\ndef f(x): return np.sum(x)", "assert f([1, 2]) == 3", needs="numpy"),
    pytests("functions", _SQUARE, "def test_two():\n    assert f(2) == 4\ndef test_three():\n    assert f(3) == 9"),
    pytests(
        "imported_solution",
        _SQUARE,
        "from solution import f\ndef test_two():\n    assert f(2) == 4",
        "import solution\ndef test_two():\n    assert solution.f(2) == 4",
        "from solution import *\ndef test_two():\n    assert f(2) == 4",
    ),
    pytests(
        "classes_with_setup",
        _SQUARE,
        """
class TestF:
    def setup_method(self):
        self.x = 2
    def test_two(self):
        assert f(self.x) == 4
    def teardown_method(self):
        del self.x
""",
    ),
    pytests(
        "unittest",
        _SQUARE,
        """
import unittest
class TestF(unittest.TestCase):
    def setUp(self):
        self.x = 2
    def test_two(self):
        self.assertEqual(f(self.x), 4)
        self.assertTrue(f(0) == 0)
        with self.assertRaises(TypeError):
            f(None)
if __name__ == '__main__':
    unittest.main()
""",
    ),
    pytests("helper_functions", _SQUARE, "def helper(x):\n    return f(x)\ndef test_two():\n    assert helper(2) == 4"),
    pytests(
        "raises",
        "def f(x):\n    raise ValueError('bad value')",
        """
import pytest
def test_raises():
    with pytest.raises(ValueError):
        f(1)
    with pytest.raises(ValueError, match='bad'):
        f(1)
""",
        needs="pytest",
    ),
    pytests(
        "approx",
        "def f(x): return x / 3",
        "import pytest\ndef test_third():\n    assert f(1) == pytest.approx(0.3333333, abs=1e-5)",
        needs="pytest",
    ),
    pytests(
        "parametrize",
        _SQUARE,
        """
import pytest
@pytest.mark.parametrize('x, y', [(0, 0), (2, 4)])
def test_rows(x, y):
    assert f(x) == y
@pytest.mark.parametrize('x', [1, pytest.param(-1)])
def test_ones(x):
    assert f(x) == 1
""",
        needs="pytest",
    ),
    pytests(
        "parametrize_in_class",
        _SQUARE,
        """
import pytest
class TestF:
    @pytest.mark.parametrize('x', [1, -1])
    @pytest.mark.parametrize('y', [1])
    def test_ones(self, x, y):
        assert f(x) == y
""",
        needs="pytest",
    ),
    pytests(
        "skipped_tests",
        _SQUARE,
        """
import pytest
@pytest.mark.skip(reason='later')
def test_later():
    assert f(2) == 5
def test_two():
    assert f(2) == 4
""",
        needs="pytest",
    ),
    pytests(
        "unittest_set_up_class",
        _SQUARE,
        """
import unittest
class TestF(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = [(1, 1), (2, 4)]
    def test_rows(self):
        for x, y in self.rows:
            with self.subTest(x=x):
                self.assertEqual(f(x), y)
""",
    ),
)
