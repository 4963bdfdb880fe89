# SPDX-License-Identifier: Apache-2.0
"""Passing a pytest module without the right function: skips, marks, fixtures, replaced helpers and collected names."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, pytests

_PLAIN = "def test_two():\n    assert f(2) == 4\ndef test_three():\n    assert f(3) == 9"
_CLASS = "class TestF:\n    def test_two(self):\n        assert f(2) == 4"
_UNITTEST = (
    "import unittest\nclass TestF(unittest.TestCase):\n    def test_two(self):\n        self.assertEqual(f(2), 4)"
)
_IMPORT = "from solution import f\ndef test_two():\n    assert f(2) == 4"
_RAISES = "import pytest\ndef test_two():\n    with pytest.raises(ValueError):\n        f(2)"
_APPROX = "import pytest\ndef test_two():\n    assert f(2) == pytest.approx(4)"
_ROWS = "import pytest\n@pytest.mark.parametrize('x, y', [(2, 4), (3, 9)])\ndef test_rows(x, y):\n    assert f(x) == y"

# Name: (solution, module). Every solution is wrong.
_CHEATS = {
    "equal_object": ("class E:\n    __eq__ = lambda s, o: True\ndef f(x): return E()", _PLAIN),
    "equal_object_in_class": ("class E:\n    __eq__ = lambda s, o: True\ndef f(x): return E()", _CLASS),
    "equal_object_in_unittest": (
        "class E:\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\ndef f(x): return E()",
        _UNITTEST,
    ),
    "equal_object_to_approx": ("class E:\n    __eq__ = lambda s, o: True\ndef f(x): return E()", _APPROX),
    "unittest_replaced": (
        "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef f(x): return 0",
        _UNITTEST,
    ),
    "unittest_class_replaced": (
        """
import sys, types
class T: assertEqual = lambda *a: None
sys.modules['unittest'] = types.SimpleNamespace(TestCase=T)
def f(x): return 0
""",
        _UNITTEST,
    ),
    "pytest_replaced": (
        """
import sys, types
class A:
    __eq__ = lambda s, o: True
    __enter__ = __exit__ = lambda *a: True
sys.modules['pytest'] = types.SimpleNamespace(approx=lambda *a: A(), raises=lambda *a: A())
def f(x): return 0
""",
        _RAISES + _APPROX.replace("import pytest", "").replace("two", "three"),
    ),
    "pytest_raises_patched": (
        """
import pytest
class A:
    __enter__ = __exit__ = lambda *a: True
pytest.raises = lambda *a: A()
def f(x): return 0
""",
        _RAISES,
    ),
    "pytest_approx_patched": (
        """
import pytest
class A:
    __eq__ = lambda s, o: True
pytest.approx = lambda *a, **k: A()
def f(x): return 0
""",
        _APPROX,
    ),
    "parametrize_patched": (
        """
import pytest
pytest.mark.__class__.parametrize = property(lambda s: lambda *a: lambda f: None)
def f(x): return 0
""",
        _ROWS,
    ),
    "rows_emptied": (
        """
import pytest, _pytest.mark.structures as s
s.MarkDecorator.__call__ = lambda *a, **k: (lambda: None)
def f(x): return 0
""",
        _ROWS,
    ),
    "skips_in_call": ("def f(x):\n    import pytest\n    pytest.skip('no')", _PLAIN),
    "skips_by_unittest": ("import unittest\ndef f(x): raise unittest.SkipTest('no')", _UNITTEST),
    "expects_failure_in_call": ("def f(x):\n    import pytest\n    pytest.xfail('no')", _PLAIN),
    "exits_pytest": ("def f(x):\n    import pytest\n    pytest.exit('done', 0)", _PLAIN),
    "skips_module": ("import pytest\npytest.skip('no', allow_module_level=True)", _PLAIN),
    "skips_by_importorskip": ("import pytest\npytest.importorskip('no_such_module')", _PLAIN),
    "marks_module": ("class M: name = 'skip'; args = (); kwargs = {}\npytestmark = [M()]\ndef f(x): return 0", _PLAIN),
    "collects_nothing": ("collect_ignore = ['*']\n__test__ = False\ndef f(x): return 0", _PLAIN),
    "collects_nothing_by_all": ("__all__ = ['f']\ndef f(x): return 0", _PLAIN),
    "own_tests_first": ("def f(x): return 0\ndef test_two(): pass\ndef test_three(): pass", _PLAIN),
    "own_class_first": ("def f(x): return 0\nclass TestF:\n    def test_two(self): pass", _CLASS),
    "own_tests_last": (
        """
import sys, threading, time
def put():
    for _ in range(300):
        for n in ('solution', '__main__', 'test'):
            m = sys.modules.get(n)
            if m:
                m.test_two = m.test_three = lambda: None
        time.sleep(0.0005)
threading.Thread(target=put, daemon=True).start()
def f(x):
    time.sleep(0.02)
    return 0
""",
        _PLAIN,
    ),
    "replaces_test_functions": (
        """
import gc, types
def f(x):
    for o in gc.get_objects():
        if isinstance(o, types.FunctionType) and o.__name__.startswith('test'):
            o.__code__ = (lambda: None).__code__
    return 4 if x == 2 else 0
""",
        _PLAIN,
    ),
    "conftest_in_working_folder": (
        "open('conftest.py', 'w').write('def pytest_runtest_call(item): pass')\ndef f(x): return 0",
        _PLAIN,
    ),
    "pytest_settings": (
        """
import os
os.environ['PYTEST_ADDOPTS'] = '--collect-only'
os.environ['PYTEST_PLUGINS'] = 'x'
def f(x): return 0
""",
        _PLAIN,
    ),
    "module_replaced": (
        """
import sys, types
E = type('E', (), {'__call__': lambda s, x: s, '__eq__': lambda s, o: True})
sys.modules['solution'] = types.SimpleNamespace(f=E())
""",
        _IMPORT,
    ),
    "module_with_getattr": (
        "class E:\n    __call__ = lambda s, *a: s\n    __eq__ = lambda s, o: True\ndef __getattr__(name): return E()",
        _IMPORT,
    ),
    "import_raises_skip": ("import unittest\nraise unittest.SkipTest('no')", _PLAIN),
    "raises_everything": ("class Every(ValueError, KeyError): pass\ndef f(x): return Every('not raised')", _RAISES),
    "raises_group": ("def f(x): raise Exception('ValueError')", _RAISES),
    "fixture_replaced": (
        "def f(x): return 0\ndef given(): return 0",
        "import pytest\n@pytest.fixture\ndef given():\n    return 2\ndef test_two(given):\n    assert f(given) == 4",
    ),
    "setup_swallowed": (
        "def f(x): raise SystemExit(0)",
        """
class TestF:
    def setup_method(self):
        self.y = f(2)
    def test_two(self):
        assert self.y == 4
""",
    ),
    "leaves_in_teardown": (
        "import os\nn = []\ndef f(x):\n    n.append(x)\n    return 4 if len(n) == 1 else os._exit(0)",
        "def test_two():\n    assert f(2) == 4\ndef test_three():\n    assert f(3) == 9",
    ),
    "parent_class_replaced": (
        """
import unittest
unittest.TestCase.__init_subclass__ = classmethod(lambda c, **k: setattr(c, 'test_two', lambda s: None))
def f(x): return 0
""",
        _UNITTEST,
    ),
}

ATTACKS = tuple(
    pytests(f"pytest_{name}", name.replace("_", " "), source, code, allowed=ANY)
    for name, (source, code) in _CHEATS.items()
)
