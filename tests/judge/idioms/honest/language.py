# SPDX-License-Identifier: Apache-2.0
"""Features of the language and the standard library, where an own module or an odd namespace would break them."""

from __future__ import annotations

from tests.judge.idioms.honest.idiom import script, total

_SUM = "sum(map(int, open(0).read().split()))"

IDIOMS = (
    total(
        "class_solution",
        """
class Solution:
    def add(self, numbers):
        return sum(numbers)
print(Solution().add(map(int, open(0).read().split())))
""",
    ),
    total(
        "dataclass",
        f"""
from dataclasses import dataclass, field, asdict
@dataclass(order=True, slots=True)
class Pair:
    a: int
    b: list = field(default_factory=list)
assert asdict(Pair(1)) == {{'a': 1, 'b': []}} and Pair(1) < Pair(2)
print({_SUM})
""",
    ),
    total(
        "dataclass_with_string_annotations",
        f"""
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar, Optional
@dataclass
class Node:
    value: int
    next: Optional[Node] = None
    kind: ClassVar[str] = 'n'
assert Node(1, Node(2)).next.value == 2
print({_SUM})
""",
    ),
    total(
        "type_hints_resolved",
        f"""
import typing
class A:
    x: 'A'
    def g(self, y: 'list[A]') -> 'A': ...
assert typing.get_type_hints(A)['x'] is A and typing.get_type_hints(A.g)['return'] is A
print({_SUM})
""",
    ),
    total(
        "named_tuple",
        f"""
from collections import namedtuple
from typing import NamedTuple
P = namedtuple('P', 'x y')
class Q(NamedTuple):
    x: int = 0
assert P(1, 2)._replace(x=3) == (3, 2) and Q().x == 0
print({_SUM})
""",
    ),
    total(
        "enum",
        f"""
from enum import Enum, IntFlag, auto
class C(Enum):
    R = auto()
    G = auto()
class F(IntFlag):
    A = 1
    B = 2
assert C['R'].value == 1 and F.A | F.B == 3
print({_SUM})
""",
    ),
    total(
        "protocols_and_generics",
        f"""
from typing import Generic, Protocol, TypeVar, runtime_checkable
T = TypeVar('T')
class Box(Generic[T]):
    def __init__(self, v: T): self.v = v
@runtime_checkable
class HasV(Protocol):
    v: int
assert isinstance(Box[int](3), HasV) or True
print({_SUM})
""",
    ),
    total(
        "abstract_classes",
        f"""
from abc import ABC, abstractmethod
class A(ABC):
    @abstractmethod
    def g(self): ...
class B(A):
    def g(self): return 1
assert B().g() == 1
print({_SUM})
""",
    ),
    total(
        "slots_and_properties",
        f"""
class A:
    __slots__ = ('_x',)
    def __init__(self): self._x = 1
    @property
    def x(self): return self._x
    @x.setter
    def x(self, v): self._x = v
a = A()
a.x += 1
assert a.x == 2
print({_SUM})
""",
    ),
    total(
        "metaclass",
        f"""
class M(type):
    def __new__(c, n, b, d): return super().__new__(c, n, b, {{**d, 'tag': n}})
class A(metaclass=M): pass
assert A.tag == 'A'
print({_SUM})
""",
    ),
    total(
        "operators",
        f"""
import functools
@functools.total_ordering
class V:
    def __init__(s, v): s.v = v
    def __eq__(s, o): return s.v == o.v
    def __lt__(s, o): return s.v < o.v
    def __hash__(s): return hash(s.v)
    def __add__(s, o): return V(s.v + o.v)
assert sorted([V(2), V(1)])[0] == V(1) and sum([V(1)], V(2)) >= V(3)
print({_SUM})
""",
    ),
    total(
        "match",
        f"""
def kind(x):
    match x:
        case [a, *_]: return a
        case {{'k': v}}: return v
        case str() | bytes(): return 's'
        case _: return None
assert kind([1, 2]) == 1 and kind({{'k': 5}}) == 5 and kind('') == 's'
print({_SUM})
""",
    ),
    total(
        "generators",
        "def numbers():\n    for line in open(0):\n        yield from map(int, line.split())\nprint(sum(numbers()))",
    ),
    total(
        "context_managers",
        f"""
from contextlib import contextmanager, suppress, ExitStack
@contextmanager
def c():
    yield 1
with c() as x, suppress(ValueError), ExitStack() as stack:
    stack.enter_context(c())
    raise ValueError
print({_SUM})
""",
    ),
    total(
        "decorators_and_closures",
        f"""
def twice(g):
    def inner(*a, **k):
        nonlocal_count[0] += 1
        return g(*a, **k)
    return inner
nonlocal_count = [0]
@twice
def h(): return 1
assert h() + nonlocal_count[0] == 2
print({_SUM})
""",
    ),
    total(
        "caches",
        f"""
from functools import lru_cache, cache, cached_property, reduce
@lru_cache(maxsize=None)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
assert fib(80) == 23416728348467685
print({_SUM})
""",
    ),
    total(
        "heaps_and_bisection",
        f"""
import heapq, bisect
h = [3, 1, 2]
heapq.heapify(h)
assert heapq.heappop(h) == 1 and bisect.bisect_left([1, 2, 4], 3) == 2 and heapq.nlargest(1, [1, 5]) == [5]
print({_SUM})
""",
    ),
    total(
        "collections",
        f"""
from collections import Counter, OrderedDict, defaultdict, deque, ChainMap
assert Counter('aab').most_common(1) == [('a', 2)] and deque([1], maxlen=1).popleft() == 1
assert defaultdict(int)['x'] == 0
print({_SUM})
""",
    ),
    total(
        "itertools",
        f"""
from itertools import accumulate, chain, combinations, groupby, permutations, product, pairwise
assert list(accumulate([1, 2])) == [1, 3] and len(list(permutations('abc'))) == 6
assert list(pairwise('abc'))[0] == ('a', 'b')
print({_SUM})
""",
    ),
    total(
        "decimal_and_fractions",
        f"""
from decimal import Decimal, getcontext
from fractions import Fraction
getcontext().prec = 50
assert str(Decimal(1) / 3).startswith('0.33333') and Fraction(1, 3) + Fraction(1, 6) == Fraction(1, 2)
print({_SUM})
""",
    ),
    total(
        "big_integers",
        f"""
import math, sys
sys.set_int_max_str_digits(0)
assert len(str(3 ** 20000)) == 9543 and pow(3, 10**9, 10**9 + 7)
assert math.comb(100, 50) % 7 >= 0 and math.isqrt(10**40) == 10**20
print({_SUM})
""",
    ),
    total(
        "mathematics",
        f"""
import math, cmath, statistics
assert math.gcd(12, 18) == 6 and math.prod([2, 3]) == 6 and cmath.sqrt(-1) == 1j and statistics.median([1, 3, 2]) == 2
print({_SUM})
""",
    ),
    total(
        "regular_expressions",
        f"""
import re
assert re.findall(r'\\d+', 'a1b22') == ['1', '22'] and re.sub('a', 'b', 'aa') == 'bb'
print({_SUM})
""",
    ),
    total(
        "strings",
        f"""
import string, textwrap, unicodedata
assert string.ascii_lowercase[:2] == 'ab' and f'{{3.14159:.2f}}' == '3.14'
assert 'a,b'.split(',') == ['a', 'b'] and unicodedata.name('é')
print({_SUM})
""",
    ),
    total(
        "dates",
        f"""
import datetime, calendar
assert (datetime.date(2024, 3, 1) - datetime.date(2024, 2, 1)).days == 29 and calendar.isleap(2024)
print({_SUM})
""",
    ),
    total(
        "time_zones",
        f"""
from zoneinfo import ZoneInfo
import datetime
assert datetime.datetime(2024, 1, 1, tzinfo=ZoneInfo('UTC')).utcoffset() == datetime.timedelta(0)
print({_SUM})
""",
    ),
    total(
        "json_round_trip",
        f"""
import json
assert json.loads(json.dumps({{'a': [1, None, True]}})) == {{'a': [1, None, True]}}
print({_SUM})
""",
    ),
    total(
        "pickle_of_own_class",
        """
import pickle, copy
class Box:
    def __init__(self, v): self.v = v
box = pickle.loads(pickle.dumps(Box(sum(map(int, open(0).read().split())))))
print(copy.deepcopy(box).v)
""",
    ),
    total(
        "arrays_and_structs",
        f"""
import array, struct
assert array.array('i', [1, 2])[1] == 2 and struct.unpack('<I', struct.pack('<I', 7)) == (7,)
print({_SUM})
""",
    ),
    total(
        "exceptions",
        f"""
class Odd(Exception): pass
try:
    try:
        1 / 0
    except ZeroDivisionError as e:
        raise Odd('x') from e
except Odd as odd:
    assert isinstance(odd.__cause__, ZeroDivisionError)
else:
    raise SystemExit(1)
print({_SUM})
""",
    ),
    total(
        "exception_groups",
        f"""
try:
    raise ExceptionGroup('g', [ValueError(1), KeyError(2)])
except* ValueError:
    pass
except* KeyError:
    pass
print({_SUM})
""",
    ),
    total(
        "walrus_and_unpacking",
        "if (data := open(0).read().split()):\n    first, *rest = data\n    print(int(first) + sum(map(int, rest)))",
    ),
    total(
        "shadowed_builtins",
        "list = sum = max = None\ninput = open(0).read().split()\nid, type = map(int, input)\nprint(id + type)",
    ),
    total(
        "names_of_the_judge",
        f"tests = test = payload = result = source = code = module = os = sys = json = 1\nprint({_SUM})",
    ),
    total("function_called_main", f"def run(): return {_SUM}\ndef main(): return run()\nmain = main()\nprint(main)"),
    total(
        "tree_of_objects",
        f"""
class Trie:
    def __init__(self): self.next = {{}}
root = Trie()
for word in ['ab', 'ac'] * 1000:
    node = root
    for c in word: node = node.next.setdefault(c, Trie())
print({_SUM})
""",
    ),
    total(
        "sieve",
        f"""
n = 10**6
sieve = bytearray([1]) * (n + 1)
sieve[:2] = b'\\0\\0'
for i in range(2, 1001):
    if sieve[i]: sieve[i * i :: i] = bytes(len(sieve[i * i :: i]))
assert sum(sieve) == 78498
print({_SUM})
""",
    ),
    total("two_hundred_megabytes", f"x = [0] * (25 * 10**6)\nassert len(x) == 25 * 10**6\nprint({_SUM})"),
    script(
        "generator_left_running",
        "def g():\n    try:\n        yield 1\n    finally:\n        print('closed')\nx = g()\nprint(next(x))\ndel x",
        ("", "1\nclosed"),
    ),
)
