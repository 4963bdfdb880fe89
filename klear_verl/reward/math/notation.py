# SPDX-License-Identifier: Apache-2.0
"""One spelling for what people and models write: Unicode mathematics, LaTeX styling, thousands, plain-text operators.

It changes spelling only. No rule deletes a character that could carry a value: a point, a sign, a digit, a percent or
degree sign, a unit all stay, and get their meaning in `answers.py`.
"""

from __future__ import annotations

import re
import unicodedata

_BREAK = "\x00"

MAX_CHARS = 20_000
"""Longer answers are compared as text alone: no answer to a problem is that long, and repetition loops are."""

# Tables are read as words: a character, then what it becomes.
_COMMANDS = r"""
× \times  ✕ \times  ⋅ \cdot  · \cdot  ∙ \cdot  ≤ \le  ⩽ \le  ≦ \le  ≥ \ge  ⩾ \ge  ≧ \ge  ≠ \ne  ≈ \approx
≃ \approx  ≅ \approx  ∞ \infty  √ \sqrt  ∛ \sqrt[3]  ° ^\circ  º ^\circ  ∅ \emptyset  ∪ \cup  ∩ \cap  ∈ \in
∉ \notin  ∖ \setminus  ± \pm  ∓ \mp  ∠ \angle  ℝ \mathbb{R}  ℤ \mathbb{Z}  ℕ \mathbb{N}  ℚ \mathbb{Q}
ℂ \mathbb{C}  ∑ \sum  ∏ \prod  ∫ \int  ⌊ \lfloor  ⌋ \rfloor  ⌈ \lceil  ⌉ \rceil  … \ldots  ⋯ \ldots  → \to
∧ \text{and}  ∨ \text{or}  ¢ \text{cents}  ￥ ¥  π \pi  α \alpha  β \beta  γ \gamma  δ \delta  ε \epsilon
ζ \zeta  η \eta  θ \theta  ι \iota  κ \kappa  λ \lambda  μ \mu  µ \mu  ν \nu  ξ \xi  ρ \rho  σ \sigma  τ \tau
φ \varphi  ϕ \phi  χ \chi  ψ \psi  ω \omega  Γ \Gamma  Δ \Delta  Θ \Theta  Λ \Lambda  Π \Pi  Σ \Sigma  Φ \Phi
Ψ \Psi  Ω \Omega
"""
_CHARACTERS = r"""
− -  – -  — -  ‐ -  ‑ -  ﹣ -  － -  ÷ /  ∕ /  ⁄ /  ′ '  ’ '  ‘ '  ″ \'\'  “ "  ” "  ， ,  ； ;  ： :  （ (
） )  ［ [  ］ ]  ｛ {  ｝ }  。 .  、 ,  ％ %  ＝ =  ＋ +  ＜ <  ＞ >  ＄ \$  ㎡ m^2  ㎝ cm  ㎞ km  ㎏ kg
"""
_FRACTIONS = """
½ 1/2  ⅓ 1/3  ⅔ 2/3  ¼ 1/4  ¾ 3/4  ⅕ 1/5  ⅖ 2/5  ⅗ 3/5  ⅘ 4/5  ⅙ 1/6  ⅚ 5/6  ⅐ 1/7  ⅛ 1/8  ⅜ 3/8  ⅝ 5/8  ⅞ 7/8
⅑ 1/9  ⅒ 1/10
"""
_BLANKS = dict.fromkeys("\u00a0\u2009\u202f", " ")
_INVISIBLE = frozenset("\u200b\ufeff\u2061\u2062\u200e")


def _pairs(table: str) -> dict[str, str]:
    words_ = table.split()
    return dict(zip(words_[::2], words_[1::2], strict=True))


_UNICODE = {
    **{character: command + " " for character, command in _pairs(_COMMANDS).items()},
    **{character: plain.replace("\\'", "'") for character, plain in _pairs(_CHARACTERS).items()},
    **{character: "\\frac{{{}}}{{{}}}".format(*value.split("/")) for character, value in _pairs(_FRACTIONS).items()},
    **_BLANKS,
}
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+-()ni", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙ", "0123456789+-()n", strict=True))

_FONTS = (
    r"bf|it|sf|tt|cal|tiny|scriptsize|footnotesize|small|normalsize|[lL]arge|LARGE|[hH]uge|mathbf|mathit|mathsf|mathtt|mathcal|mathfrak|mathscr|boldsymbol|bm|pmb|bold|mathnormal|underline|ensuremath|"
    r"color\{\w+\}|textcolor\{\w+\}|mathop|mathord|mathbin|mathrel|cancel|hbox"
)
_TEXTS = r"text|textbf|textit|textrm|texttt|textsf|textnormal|textup|mbox|mathrm|operatorname\*?|rm|textsc|emph"
_FUNCTIONS = (
    "cis|arcsinh|arccosh|arctanh|arsinh|arcosh|artanh|arcsin|arccos|arctan|arccot|sinh|cosh|tanh|coth|sech|csch|"
    "sin|cos|tan|cot|sec|csc|ln|log|exp|lcm|gcd|max|min|sgn|sign"
)
_NOT_A_WORD = r"(?=\s*(?:\^|$|[-+*/)}\],=\\\d ]))"
_ENVIRONMENTS = "align|aligned|equation|gather|gathered|split|math|displaymath"
_SPACING = re.compile(
    r"\\(?:!|,|;|:|>| |quad|qquad|thinspace|medspace|thickspace|negthinspace|enspace|hfill|displaystyle|textstyle|"
    r"scriptstyle|limits|nolimits|noindent|nonumber|hspace\*?\{[^{}]*\}|vspace\*?\{[^{}]*\}|\n)(?![a-zA-Z])"
)
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?|middle)(?![a-zA-Z])\s*\.?")
_SYNONYMS = r"""
(?:[dtcsx]|nice)frac \frac  leq?slant \le  geq?slant \ge  leqq? \le  geqq? \ge  lt <  gt >  neq \ne  not\s*= \ne
cdotp? \cdot  ast *  div /  dots[bcmio]? \ldots  cdots \ldots  lbrace \{  rbrace \}  lbrack [  rbrack ]
lparen (  rparen )  vert |  mid |  lvert |  rvert |  colon :  varnothing \emptyset  backslash \setminus
smallsetminus \setminus  degree ^\circ  textdegree ^\circ  land \text{and}  lor \text{or}  wedge \text{and}
vee \text{or}  arccot \acot  dbinom \binom  tbinom \binom  lg \log_{10}  prime '  pounds £  euro €  yen ¥
simeq \approx  cong \approx  Real \mathbb{R}  R \mathbb{R}  Z \mathbb{Z}  tg \tan  ctg \cot  cosec \csc
imath i  textdollar \$  langle (  rangle )  equiv =
"""
_ALIASES = [(re.compile(rf"\\{old}(?![a-zA-Z])"), new.replace("\\", "\\\\")) for old, new in _pairs(_SYNONYMS).items()]
_DOLLARS = re.compile(r"(?<!\\)\$+")
_DISPLAY = re.compile(r"\\[()\[\]]")


def _fonts(text: str) -> str:
    """`\\mathbf{x}` is x; a constant or a function in upright letters is itself."""
    text = re.sub(r"\{\\(?:rm|bf|it)\s+([^{}]*)\}", r"\\text{\1}", text)
    text = re.sub(r"\\[hv]?phantom\s*\{[^{}]*\}", " ", text)
    for _ in range(6):
        new = re.sub(rf"\\(?:{_FONTS})(?![a-zA-Z])\s*\{{([^{{}}]*)\}}", r"{\1}", text)
        new = re.sub(rf"\\(?:{_FONTS})(?![a-zA-Z])", " ", new)
        if new == text:
            break
        text = new
    # e, i and d in upright letters, as ISO 80000-2 has them.
    text = re.sub(rf"\\(?:mathrm|text|operatorname|textrm|rm)\s*\{{?\s*([eid])\s*\}}?{_NOT_A_WORD}", r" \1 ", text)
    # Behind a number, min and sec are units.
    text = re.sub(r"([\d}]\s*\\(?:mathrm|text|textrm)\s*\{)(\s*(?:min|sec)\s*\})", r"\1~\2", text)
    return re.sub(rf"\\(?:mathrm|text|operatorname\*?|textrm)\s*\{{\s*({_FUNCTIONS})\s*\}}", r"\\\1 ", text)


def spelling(text: str) -> str:
    """The answer in one spelling: LaTeX without styling, ASCII where there is a command or a character for it.

    Text commands (`\\text`, `\\mathrm`, `\\textbf`, `\\mbox`, …) become `\\text{…}`.
    """
    if not text.isascii():
        text = _ascii(text)
    # Row breaks first, or their second backslash would make a command of what follows.
    text = re.sub(r"\\\\(?=%)", r"\\", text)
    text = re.sub(r"\\\\(?![a-zA-Z]*\{(?:array|matrix))", _BREAK, text).replace("\r", " ")
    text = re.sub(rf"\\(?:begin|end)\{{(?:{_ENVIRONMENTS})\*?\}}", " ", text)
    if "\\" in text or "$" in text:
        text = _DISPLAY.sub(" ", text)
        # A dollar sign before a number, alone in the text, is money.
        if len(_DOLLARS.findall(text)) == 1 and re.match(r"\s*-?\s*\$\s*\d", text):
            text = text.replace("$", "\\$")
        text = _DOLLARS.sub(" ", text)
        text = re.sub(r"(?<=\d)\s*,\s*\\[!,]\s*(?=\d{3})", ",", text)
        text = re.sub(r"(?<=\d)\\[!,](?=\d)|\\!", "", text)
        text = _SIZES.sub(" ", text)
        text = _SPACING.sub(" ", text)
        text = re.sub(r"\\[,;:!>~ ]", " ", text)
        for pattern, new in _ALIASES:
            text = pattern.sub(new, text)
        text = _fonts(text)
        text = re.sub(rf"\\(?:{_TEXTS})(?![a-zA-Z])\s*\{{", r"\\text{", text)
        text = re.sub(r"\\(?:textbf|textit|textrm|mathrm|text|mbox)\s*(?=[A-Za-z(])", " ", text)
        text = re.sub(r"\\(?=\s*$)", "", text)
        text = _upright_signs(text)
    text = re.sub(r"(?<=\d)\s*\^\s*(?:o|\{\s*o\s*\})(?![a-zA-Z])", r"^\\circ", text)
    text = re.sub(r"(?<=[^\s.])(\s*)\.{3}(?!\.)", r"\1\\ldots ", text)
    text = text.replace("\\%", "%").replace("`", " ").replace("~", " ")
    text = re.sub(r"\*\*(?=[^*]*\*\*)([^*]*)\*\*", r"\1", text) if re.match(r"\s*\*\*[^*]", text) else text
    text = text.replace("**", "^")
    text = (
        re.sub(r"!=", r"\\ne ", text) if not re.search(r"!\s*=\s*\d", text) or re.search(r"[a-z]\s*!=", text) else text
    )
    text = (
        text.replace(">=", r"\ge ").replace("<=", r"\le ").replace("=>", r"\ge ").replace("+-", r"\pm ")
        if "\\" not in text
        else text.replace(">=", r"\ge ").replace("<=", r"\le ")
    )
    return re.sub(r"\s+", " ", _thousands(text.replace(_BREAK, "\\\\"))).strip()


def _upright_signs(text: str) -> str:
    """Signs that stand in `\\text{…}`, or in an exponent of their own, without it."""
    text = re.sub(r"\\text\{\s*[.,;]?\s*\}", " ", text)
    text = re.sub(r"\\text\{\s*(\\?[%$€£¥₹])\s*\}", r"\1", text)
    text = re.sub(r"\\text\{\s*(minus |negative )?(?:plus |positive )?infinity\s*\}", _infinity, text, flags=re.I)
    text = re.sub(r"\^\s*(?:\{\s*((?:'\s*)+)\}|('+))", lambda match: (match[1] or match[2]).replace(" ", ""), text)
    text = re.sub(r"\\\{\s*\\\}", r"\\emptyset ", text)
    return re.sub(r"(\\mathbb\s*\{?\s*[RCQZ]\s*\}?)\s*-\s*(?=\\\{)", r"\1\\setminus ", text)


def _infinity(match: re.Match[str]) -> str:
    return "-\\infty " if match[1] else "\\infty "


def _thousands(text: str) -> str:
    """`1{,}234`, `14 {, }916` and `11, 111` with a thin space are groups of thousands; a comma with a space is not."""
    text = re.sub(r"(?<=\d)\s*\{\s*,\s*\}\s*(?=\d{3}(?!\d))", "", text)
    # Other groups behind a comma in braces are decimals: 12{,}5.
    text = re.sub(r"(?<=\d)\{,\}(?=\d{1,2}(?!\d)|\d{4})", ".", text)
    return re.sub(r"\{\s*([.,:])\s*\}", r"\1", text)


def _ascii(text: str) -> str:
    out = []
    for part in re.split(r"([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ]+|[₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙ]+)", text):
        if part and part[0] in _SUPERSCRIPTS:
            out.append("^{" + "".join(_SUPERSCRIPTS[character] for character in part) + "}")
        elif part and part[0] in _SUBSCRIPTS:
            out.append("_{" + "".join(_SUBSCRIPTS[character] for character in part) + "}")
        else:
            out += [_UNICODE.get(character) or _plain(character) for character in part if character not in _INVISIBLE]
    return "".join(out)


def _plain(character: str) -> str:
    """A digit of any script as an ASCII one; other characters in their compatibility form."""
    digit = unicodedata.decimal(character, None)
    return unicodedata.normalize("NFKC", character) if digit is None else str(digit)


def words(text: str) -> str:
    """For comparing words: the text without markup, case, articles, spacing and punctuation."""
    text = re.sub(r"\\text\{", "{", text)
    text = re.sub(r"\\(?=[{}$%])", "", text)
    text = re.sub(r"\b(?:the|a|an)\b(?=\s+[a-z]{2})", " ", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=[A-Za-z])-(?=[A-Za-z])", "", text)
    return re.sub(r"[\s{}$.,;:\"!?()]+", "", text).casefold()


def characters(text: str) -> str:
    """For comparing notation: the text without spaces, and without braces around a single character."""
    text = re.sub(r"\\text\{([^{}]*)\}", r"\1", text)
    # 3 1/4 is not 31/4.
    text = re.sub(r"(?<=\d)\s+(?=\d)", "_", text)
    text = re.sub(r"\s+", "", text)
    text = re.sub(r"\{([A-Za-z0-9])\}", r"\1", text)
    return text.rstrip(".")
