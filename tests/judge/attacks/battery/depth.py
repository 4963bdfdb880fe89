# SPDX-License-Identifier: Apache-2.0
"""Stack overflows, in Python and in native code: the process dies, the judge does not."""

from __future__ import annotations

from tests.judge.attacks.battery.attack import ANY, LIBC, asserts, function, script

ATTACKS = (
    script(
        "depth_recursion",
        "a recursion without limit",
        "import sys\nsys.setrecursionlimit(10**9)\ndef g(): return g()\ng()",
        allowed=ANY,
    ),
    script(
        "depth_repr",
        "recursion in native code",
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())",
        allowed=ANY,
    ),
    script(
        "depth_of_objects",
        "a deep structure that is destroyed",
        "x = None\nfor _ in range(10**6): x = (x,)\ndel x",
        allowed=ANY,
    ),
    script("depth_of_generators", "generators in generators", "def g(n): yield from g(n + 1)\nnext(g(0))", allowed=ANY),
    script(
        "depth_of_json",
        "a deep JSON text",
        "import json, sys\nsys.setrecursionlimit(10**9)\njson.loads('[' * 10**6)",
        allowed=ANY,
    ),
    script(
        "depth_of_pattern",
        "a deep regular expression",
        "import re, sys\nsys.setrecursionlimit(10**9)\nre.compile('(' * 10**5 + ')' * 10**5)",
        allowed=ANY,
    ),
    script(
        "depth_of_pickle",
        "a deep pickle",
        "import pickle, sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**5): x = [x]\npickle.dumps(x)",
        allowed=ANY,
    ),
    script(
        "depth_of_ast",
        "a deep syntax tree",
        "import ast, sys\nsys.setrecursionlimit(10**9)\nast.parse('-' * 10**5 + '1')",
        allowed=ANY,
    ),
    script(
        "depth_in_thread",
        "a small stack",
        """
import sys, threading
sys.setrecursionlimit(10**9)
threading.stack_size(1 << 16)
def g(): return g()
t = threading.Thread(target=g)
t.start()
t.join()
""",
        allowed=ANY,
    ),
    script(
        "depth_of_callbacks",
        "native code and Python in turns",
        LIBC
        + """
import sys
sys.setrecursionlimit(10**9)
kind = ctypes.CFUNCTYPE(ctypes.c_int)
@kind
def g(): return g()
g()
""",
        allowed=ANY,
    ),
    script(
        "depth_of_the_wrapper",
        "leaves the runner no stack of Python's own",
        "import sys\nsys.setrecursionlimit(30)",
        allowed=ANY,
    ),
    function(
        "depth_in_call",
        "a recursion without limit, in a call",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()",
        allowed=ANY,
    ),
    function(
        "depth_limit_of_the_encoder",
        "no recursion left for the result",
        "import sys\ndef f():\n    sys.setrecursionlimit(30)\n    return [[[[[[41]]]]]]",
        allowed=ANY,
    ),
    asserts(
        "depth_in_assert",
        "a recursion without limit, under an assert",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f(x)",
        "assert f(2) == 4",
        allowed=ANY,
    ),
)
