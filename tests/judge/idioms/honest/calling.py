# SPDX-License-Identifier: Apache-2.0
"""Functions that are called with arguments: LiveCodeBench's and LeetCode's forms."""

from __future__ import annotations

from tests.judge.idioms.honest.idiom import function

IDIOMS = (
    function("plain", "def f(a, b): return a + b", ([1, 2], 3), ([[1], [2]], [1, 2]), (["a", "b"], "ab")),
    function("lambda", "f = lambda x: x * 2", ([4], 8)),
    function("builtin", "f = sorted", ([[3, 1]], [1, 3])),
    function("partial", "import functools\nf = functools.partial(pow, 2)", ([10], 1024)),
    function("callable_object", "class F:\n    def __call__(self, x): return x + 1\nf = F()", ([1], 2)),
    function(
        "class_solution", "class Solution:\n    def f(self, nums: List[int]) -> int: return max(nums)", ([[1, 5, 2]], 5)
    ),
    function(
        "class_solution_with_state",
        """
class Solution:
    def __init__(self): self.memo = {}
    def f(self, n):
        if n not in self.memo: self.memo[n] = n if n < 2 else self.f(n - 1) + self.f(n - 2)
        return self.memo[n]
""",
        ([30], 832040),
        ([10], 55),
    ),
    function("class_solution_static", "class Solution:\n    @staticmethod\n    def f(x): return -x", ([3], -3)),
    function(
        "names_leetcode_provides",
        "def f(x: Optional[int]): return sum(Counter(accumulate([x, x])).values()) + floor(sqrt(4))",
        ([1], 4),
    ),
    function("builtin_pow_is_not_hidden", "def f(): return pow(3, 4, 5)", ([], 1)),
    function("main_guard_does_not_run", "def f(): return 1\nif __name__ == '__main__':\n    print(input())", ([], 1)),
    function("prints_meanwhile", "def f(x):\n    print('debug', x)\n    return x", ([1], 1)),
    function(
        "changes_its_argument", "def f(x):\n    x.sort()\n    return x", ([[3, 1, 2]], [1, 2, 3]), ([[2, 1]], [1, 2])
    ),
    function(
        "recursion",
        "import sys\nsys.setrecursionlimit(10**5)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)",
        ([5000], 5000),
    ),
    function(
        "cache",
        "from functools import cache\n@cache\ndef f(n): return n if n < 2 else f(n - 1) + f(n - 2)",
        ([50], 12586269025),
    ),
    function("tuple_for_a_list", "def f(): return (1, (2, 3))", ([], [1, [2, 3]])),
    function("integer_keys", "def f(): return {1: 'a', 2: 'b'}", ([], {"1": "a", "2": "b"})),
    function("nothing", "def f(x): x.append(1)", ([[]], None)),
    function("booleans", "def f(x): return x > 1", ([2], True), ([0], False)),
    function("floats", "def f(): return 0.1 + 0.2", ([], 0.30000000000000004)),
    function("float_for_an_integer", "def f(): return 4 / 2", ([], 2)),
    function("huge_integer", "def f(): return 2 ** 20000", ([], 2**20000)),
    function("odd_text", "def f(): return 'é🙂\\n\\t\"\\\\'", ([], 'é🙂\n\t"\\')),
    function("deep_list", "def f(n):\n    x = 1\n    for _ in range(n): x = [x]\n    return x", ([5], [[[[[1]]]]])),
    function("shared_sublists", "def f(): return [[0] * 2] * 3", ([], [[0, 0], [0, 0], [0, 0]])),
    function("large_list", "def f(n): return list(range(n))", ([100_000], list(range(100_000)))),
    function("large_argument", "def f(x): return len(x)", (["ab" * 1_000_000], 2_000_000)),
    function("unicode_argument", "def f(x): return x[::-1]", (["añ🙂"], "🙂ña")),
    function(
        "threads",
        """
from concurrent.futures import ThreadPoolExecutor
def f(x):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(abs, x))
""",
        ([[-1, 2]], [1, 2]),
    ),
    function(
        "linked_list_of_its_own",
        """
class ListNode:
    def __init__(self, val=0, next=None): self.val, self.next = val, next
def f(x):
    head = None
    for v in x: head = ListNode(v, head)
    out = []
    while head:
        out.append(head.val)
        head = head.next
    return out
""",
        ([[1, 2, 3]], [3, 2, 1]),
    ),
)
