# SPDX-License-Identifier: Apache-2.0
"""Which left sides of equations only name what the right side is: x, f(x), a_{37}, |AB|."""

from __future__ import annotations

import re

from klear_verl.reward.math.notation import characters

_NAME = re.compile(
    r"""(?:\\?[A-Za-z]+|\\(?:hat|vec|overline|overrightarrow|bar|tilde)\s*\{?[A-Za-z]+\}?)'*      # x, \alpha, AB
        (?:_\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|_\w)?'*                                # x_1, S_{MBCN}
        (?:\^\{?\(?-?\w{1,2}\)?\}?)?                                               # f^{-1}
        (?:\([^()=]*\))?                                                           # f(x)""",
    re.VERBOSE,
)


_COMPOSED = re.compile(
    r"""\(\s*[a-zA-Z]\s*(?:\\circ|[-+/]|\\cdot)\s*[a-zA-Z]\s*\)\s*\([^()=]*\)                  # (f ∘ g)(x)
        |[a-zA-Z]\s*\(\s*[a-zA-Z]\s*\([^()=]*\)\s*\)                                        # f(g(x))
        |\(\s*[a-zA-Z]\s*\^\s*\{?-1\}?\s*\)\s*'\s*\([^()=]*\)                              # (f^{-1})'(2)
        |\\frac\s*\{\s*d\s*\^?2?\s*[a-z]?\s*\}\s*\{\s*d\s*[a-z]\s*\^?2?\s*\}(?:\s*[a-zA-Z]\([^()=]*\))?  # dy/dx
        |(?:\|{1,2}|\\\|)\s*\\?(?:vec|overrightarrow|mathbf)?\s*\{?\s*[a-z]{1,2}\s*\}?\s*(?:\|\||\\\|)   # ‖v‖
        |\|\s*\\(?:vec|overrightarrow)\s*\{?\s*[a-zA-Z]{1,2}\s*\}?\s*\|                          # |v|
    """,
    re.VERBOSE,
)


def is_name(text: str) -> bool:
    """Whether a side of an equation only names what the other side is: x, f(x), a_{37}, |AB|, ∠APC, NO/BO, (p, q)."""
    text = text.strip()
    if text in ("e", "i", "\\pi", "\\infty") or re.fullmatch(r"[A-Za-z]\^\{?\d+\}?", text):
        return False
    if _COMPOSED.fullmatch(text):
        return True
    if re.fullmatch(
        r"\\(?:sin|cos|tan|ln|log|sqrt|exp|sec|csc|cot|lim|sum|frac|text).*", text, re.DOTALL
    ) and not re.fullmatch(r"\\frac\s*\{\s*[A-Z]{2,}\s*\}\s*\{\s*[A-Z]{2,}\s*\}|\\text\{[^{}]*\}", text):
        return False
    if re.fullmatch(r"[a-z]{2,}", text) and len(set(text)) == len(text) and len(text) < 3:
        return False
    return bool(
        _NAME.fullmatch(text)
        or re.fullmatch(
            r"\\angle\s*[A-Z0-9a-z]+|m\s*\\angle\s*\w+|\|\s*[A-Z]{2}\s*\||\\text\{[^{}]*\}|\\frac\s*\{\s*[A-Z]{2,}\s*\}\s*\{\s*[A-Z]{2,}\s*\}|[A-Za-z]\w*(?:_\{?\w+\}?)?(?:\s*:\s*[A-Za-z]\w*(?:_\{?\w+\}?)?)+|(?:\\?P[r]?|E|\\mathbb\s*\{?[PE]\}?)\s*[(\[].*[)\]]",
            text,
        )
        or (
            re.fullmatch(r"\(.*\)", text, re.DOTALL)
            and all(_NAME.fullmatch(part.strip()) for part in text[1:-1].split(","))
            and "," in text
        )
    )


def same_name(left: str, right: str) -> bool:
    """Whether two left sides name the same: letter by letter, or both a function, or a function's value `y`."""
    left, right = characters(left), characters(right)
    if left == right:
        return True
    if any(re.fullmatch(rf"{re.escape(a)}\([^()]*\)", b) for a, b in ((left, right), (right, left))):
        return True
    dependent = [
        bool(re.fullmatch(r"\\?[A-Za-z]\w*(?:\^\{?-1\}?)?\([^()]*\)|y|[A-Za-z]_\{?[a-z]\}?", name))
        for name in (left, right)
    ]
    return all(dependent)


def argument_of(name: str) -> str | None:
    """The variable in f(x) or a_n."""
    match = re.fullmatch(r"\\?[A-Za-z]\w*'*(?:\^\{?-1\}?)?\(\s*(\\?[A-Za-z]+)\s*\)", name.strip()) or re.fullmatch(
        r"[A-Za-z]_\{?\s*([a-z])\s*\}?", name.strip()
    )
    return match.group(1).lstrip("\\") if match else None
