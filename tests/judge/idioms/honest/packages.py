# SPDX-License-Identifier: Apache-2.0
"""Installed packages, each in its own tier where it has one."""

from __future__ import annotations

from tests.judge.idioms.honest.idiom import function, script, total

IDIOMS = (
    total("numpy_sum", "import numpy\nprint(numpy.array(open(0).read().split(), dtype=int).sum())", needs="numpy"),
    total(
        "numpy_from_text",
        "import numpy as np, sys\nprint(int(np.fromstring(sys.stdin.read(), dtype=np.int64, sep=' ').sum()))",
        needs="numpy",
    ),
    total(
        "numpy_alias_in_function",
        """
def main():
    import numpy as np
    print(np.int64(1) * np.sum([int(x) for x in open(0).read().split()]))
main()
""",
        needs="numpy",
    ),
    script(
        "numpy_linear_algebra",
        "import numpy as np\nprint(int(round(np.linalg.det(np.array([[1, 2], [3, 4]])))))",
        ("", "-2"),
        needs="numpy",
    ),
    script(
        "numpy_random_seeded",
        """
import numpy as np
np.random.seed(0)
a = np.random.rand()
np.random.seed(0)
print(a == np.random.rand(), np.random.default_rng(1).integers(5) >= 0)
""",
        ("", "True True"),
        needs="numpy",
    ),
    script(
        "numpy_large_product",
        "import numpy as np\na = np.ones((300, 300))\nprint(int((a @ a).sum()))",
        ("", "27000000"),
        needs="numpy",
    ),
    function(
        "numpy_inside_a_call",
        "import numpy as np\ndef f(x): return int(np.cumsum(x)[-1])",
        ([[1, 2, 3]], 6),
        needs="numpy",
    ),
    script(
        "scipy_distance",
        "from scipy.spatial import distance\nprint(distance.euclidean([0, 0], [3, 4]))",
        ("", "5.0"),
        needs="scipy",
    ),
    script("sympy_factors", "import sympy\nprint(sympy.factorint(360))", ("", "{2: 3, 3: 2, 5: 1}"), needs="sympy"),
    script(
        "sympy_equation",
        "from sympy import symbols, solve\nx = symbols('x')\nprint(solve(x**2 - 4, x))",
        ("", "[-2, 2]"),
        needs="sympy",
    ),
    function(
        "sympy_inside_a_call",
        "from sympy import isprime\ndef f(n): return [k for k in range(n) if isprime(k)]",
        ([10], [2, 3, 5, 7]),
        needs="sympy",
    ),
    script(
        "networkx_path",
        "import networkx as nx\nprint(nx.shortest_path_length(nx.path_graph(4), 0, 3))",
        ("", "3"),
        needs="networkx",
    ),
)
