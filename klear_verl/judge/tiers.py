# SPDX-License-Identifier: Apache-2.0
"""Tiers: which modules the zygotes preload, and which zygote a solution runs in: the one that has its heavy imports
loaded already.

Only a matter of speed: what is not preloaded is imported by the program itself, at its own cost. So a scan of the text
is enough, and it must not be more: parsing hostile text can crash the parser, and with it the supervisor.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping

from klear_verl.judge.sandbox.layers import PRELOAD

STD = "std"

# fmt: off
TIERS: dict[str, tuple[str, ...]] = {
    "library": (
        "array",
        "base64",
        "cmath",
        "concurrent.futures",
        "dataclasses",
        "datetime",
        "decimal",
        "fractions",
        "hashlib",
        "inspect",
        "numbers",
        "queue",
        "statistics",
        "struct",
        "textwrap",
        "typing",
    ),
    "pytest": ("pytest",),
    "numpy": ("numpy", "numpy.random", "numpy.linalg"),
    "scipy": ("scipy", "scipy.special", "scipy.optimize"),
    "sympy": ("sympy",),
}
# fmt: on
"""From light to heavy."""

_PRELOADED = frozenset(module.partition(".")[0] for module in PRELOAD)

_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(\w+)|import[ \t]+([\w. \t,]+))", re.MULTILINE)


def imports_of(source: str) -> set[str]:
    """The top-level modules that a source seems to import."""
    found = set()
    for one, several in _IMPORT.findall(source):
        names = [one] if one else [part.split()[0] for part in several.split(",") if part.strip()]
        found |= {name.partition(".")[0] for name in names}
    return found


def available(tiers: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The tiers whose modules are installed."""
    return {name: modules for name, modules in tiers.items() if all(map(_installed, modules))}


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def choose(source: str, tiers: Mapping[str, tuple[str, ...]]) -> str:
    """The tier for a source: the last of those that preload something of what it imports, or STD."""
    imports = imports_of(source) - _PRELOADED if "import" in source else set()
    fitting = [
        name for name, modules in tiers.items() if any(module.partition(".")[0] in imports for module in modules)
    ]
    return fitting[-1] if imports and fitting else STD
