# SPDX-License-Identifier: Apache-2.0
"""Units behind a number: which words are units, and whether two quantities are the same. Knows no expressions.

A unit is a mapping from base units to powers, and a factor to them: cm² is 10⁻⁴ m². Sizes are exact fractions.
"""

from __future__ import annotations

import re
from fractions import Fraction

from klear_verl.reward.math.tokens import is_prose

# dimension, size, names
_TABLE = """
m 1 m meter meters metre metres
m 1/10 dm decimeter decimeters decimetre decimetres
m 1/100 cm centimeter centimeters centimetre centimetres
m 1/1000 mm millimeter millimeters millimetre millimetres
m 1/1000000000 nm nanometer nanometers
m 1000 km kilometer kilometers kilometre kilometres
m 0.0254 in inch inches
m 0.3048 ft foot feet
m 0.9144 yd yard yards
m 1609.344 mi mile miles
s 1 s sec secs second seconds
s 1/1000 ms millisecond milliseconds
s 60 min mins minute minutes
s 3600 h hr hrs hour hours
s 86400 day days
s 604800 week weeks
month 1 month months
month 12 year years yr yrs
g 1 g gram grams gramme grammes
g 1/1000 mg milligram milligrams
g 1000 kg kilogram kilograms
g 1000000 t ton tons tonne tonnes
g 453.59237 lb lbs pound pounds
g 28.349523125 oz ounce ounces
l 1 l L liter liters litre litres
l 1/1000 ml mL milliliter milliliters millilitre millilitres
l 3.785411784 gal gallon gallons
l 0.946352946 qt quart quarts
l 0.473176473 pint pints
dollar 1 $ dollar dollars usd USD 美元
dollar 1/100 cent cents
euro 1 € euro euros EUR
sterling 1 £ GBP
yen 1 ¥ yen JPY
yuan 1 yuan RMB 元
rupee 1 ₹ rupee rupees Rs
newton 1 N newton newtons
newton 1000 kN
joule 1 J joule joules
joule 1000 kJ kilojoule kilojoules
watt 1 W watt watts
watt 1000 kW
volt 1 V volt volts
ampere 1 A amp amps ampere amperes
ohm 1 ohm ohms
hertz 1 Hz hertz
hertz 1000 kHz
hertz 1000000 MHz
pascal 1 Pa pascal pascals
pascal 1000 kPa
kelvin 1 K kelvin
mole 1 mol mole moles
coulomb 1 C coulomb coulombs
tesla 1 T tesla
radian 1 rad radian radians
joule 1/10000000 erg ergs
electronvolt 1 eV
electronvolt 1000 keV
electronvolt 1000000 MeV
electronvolt 1000000000 GeV
calorie 1 cal calorie calories
calorie 1000 kcal
"""
_COUNTED_TABLE = r"""
units? people persons? students? men women boys girls children kids ways times apples oranges books pages
points? cards coins balls marbles cookies candies pieces items boxes games eggs trees cars tickets shirts
dogs cats birds fish cups? bags bottles steps sides edges vertices triangles squares numbers integers
solutions roots digits terms values pairs elements words letters cubes tiles votes players teams
customers workers flowers seats chairs tables rooms slices gifts toys dozen blocks? ago more less left
total each older younger AU 颗糖果 颗 千克 件 कमीजें
"""
_PHRASES = (
    r"in total|per person|years? old|degrees? (?:Celsius|Fahrenheit)|(?:sq(?:uare)?\.?|cubic) units?|"
    r"units? (?:squared|cubed)|units?\^\{?[23]\}?"
)
_COUNTED = "|".join([_PHRASES, *_COUNTED_TABLE.split()])
_COUNT = re.compile(rf"(?:{_COUNTED})(?:\s+(?:{_COUNTED}))*", re.IGNORECASE)
_NOT_COUNTED_TABLE = """
and or if to not no nor but than then mod modulo is are be for when where while with without unless otherwise
maybe possibly perhaps either neither between hundred thousand million billion trillion dozen plus minus
percent degrees degree radians least most half times because since
"""
_NOT_COUNTED = frozenset(_NOT_COUNTED_TABLE.split())
_CHINESE = re.compile("(?:(?!千[^米克])[^或和与不且到至万亿百分度十\\W\\da-zA-Z_]){1,8}")
_BASE = {
    name: (dimension, Fraction(size))
    for dimension, size, *names in (line.split() for line in _TABLE.strip().splitlines())
    for name in names
}

_UPRIGHT = r"\{\s*(\\text\{[^{}]*\}(?:\^\{?\d\}?)?)\s*\}"
_UNIT_FRACTION = re.compile(rf"\\frac\s*{_UPRIGHT}\s*{_UPRIGHT}")
MAX_MEASURED = 500
"""Characters of a quantity."""
_LETTERS = r"A-Za-z\u4e00-\u9fff\u0900-\u097f"
_PLAIN = re.compile(
    r"\s*([-+]?[\d.,]*\d(?:\s*/\s*\d+)?(?:\s*(?:\\times|\\cdot|\*)\s*10\^\{?-?\d+\}?)?|\\frac\{\d+\}\{\d+\})"
    rf"(\s*)([{_LETTERS}$][{_LETTERS}\s./^{{}}\d-]*)"
)

Unit = tuple[tuple[tuple[str, int], ...], Fraction]


def parse_unit(text: str) -> Unit | None:
    """The unit that a text is, as powers of dimensions and a factor; ((), 1) for what is merely counted; None if it is
    no unit."""
    text = _plain(text)
    if not text:
        return None
    if _COUNT.fullmatch(text):
        return (), Fraction(1)
    unit = _measured(text)
    return ((), Fraction(1)) if unit is None and is_counted(text) else unit


def _plain(text: str) -> str:
    text = re.sub(r"\\text|[{}~]|\\(?=[a-zA-Z$€£])|\\[,; ]", " ", text).strip().strip(".").strip()
    return re.sub(r"\s*\^\s*", "^", re.sub(r"\s+", " ", text))


def is_counted(text: str) -> bool:
    """Whether the words, which are no unit, may name what is counted: `calories`, `hours per day`, 个."""
    words = text.split()
    latin = len(words) <= 4 and all(re.fullmatch(r"[a-z]{2,15}", word) for word in words) and len(words[0]) > 2
    return (latin and not _NOT_COUNTED & set(words)) or bool(_CHINESE.fullmatch(text))


def _measured(text: str) -> Unit | None:
    text = re.sub(r"\bmph\b", "miles/hour", text)
    text = re.sub(r"\bk(?:m|p)h\b(?!\w)", "km/h", text)
    text = re.sub(r"\b(?:square|sq\.?)\s+(\w+)", r"\1^2", text)
    text = re.sub(r"\b(?:cubic|cu\.?)\s+(\w+)", r"\1^3", text)
    text = re.sub(r"(\w+)\s+squared", r"\1^2", text)
    text = re.sub(r"(\w+)\s+cubed", r"\1^3", text)
    text = re.sub(r"\s+per\s+|\s*/\s*", " / ", " " + text + " ").strip()
    powers: dict[str, int] = {}
    factor = Fraction(1)
    inverse = False
    for word in filter(None, re.split(r"[\s*·]+|cdot", text)):
        if word == "/":
            inverse = True
            continue
        match = re.fullmatch(r"([A-Za-z$€£¥₹元美]+)(?:\^?\s*(-?\d))?", word)
        if match is None or match.group(1) not in _BASE:
            return None
        dimension, size = _BASE[match.group(1)]
        power = int(match.group(2) or 1) * (-1 if inverse else 1)
        powers[dimension] = powers.get(dimension, 0) + power
        factor *= size**power
    return tuple(sorted((name, power) for name, power in powers.items() if power)), factor


def split_unit(text: str) -> tuple[str, str] | None:
    """(number, unit) of `15\\text{ cm}^2`, `10 cm^2`, `1,000.99m^2`, `$5`, `5 miles per hour`; None without a unit.

    A letter that may be a variable is no unit: `2c`, `5 m` without a space or upright type after a variable. A number
    must stand before it.
    """
    if len(text) > MAX_MEASURED or re.fullmatch(r"[-+]?[\d.,]+", text):
        return None
    text = _UNIT_FRACTION.sub(r"\1/\2", text)
    if word := re.fullmatch(r"(?:\\text\{\s*)?(Rs|USD|EUR|GBP|JPY|RMB)\.?\s*\}?\s*(\d.*)", text, re.DOTALL):
        return word[2], word[1]
    money = re.fullmatch(r"(-?)\s*(\\\$|\\?€|\\?£|\\?¥|₹)\s*(.*)", text, re.DOTALL)
    if money:
        rest = split_unit(money.group(3))
        return money.group(1) + (rest[0] if rest else money.group(3)), money.group(2).replace("\\", "")
    upright = re.fullmatch(
        r"(.*?[\da-zA-Z})!])\s*((?:\\text\{(?:[^{}]|\{[^{}]*\})*\}(?:\^\{?-?\d\}?)?(?:[\s/.*]|\\cdot)*)+)",
        text,
        re.DOTALL,
    )
    if upright and upright.group(1).strip():
        number, unit = upright.groups()
        if parse_unit(unit) is not None and (re.search(r"\d|\\pi", number) or _measured(_plain(unit))):
            return number.strip(), unit
    behind = re.fullmatch(r"(.*\d[\d.,}]*|.*[})])\s*(\\?€|\\?£|\\?\$)", text)
    if behind and "\\" + "text" not in behind.group(2) and len(behind.group(1)) < 30 and not text.endswith("\\$\\$"):
        return behind.group(1), behind.group(2).replace("\\", "")
    worded = re.fullmatch(r"(.*\\(?:sqrt|pi|frac).*?[\di}])\s+([a-z]{2}[a-z ]*(?:\s*\^\s*\{?\d\}?)?)", text)
    if worded and (_COUNT.fullmatch(worded[2]) or _measured(_plain(worded[2]))):
        return worded[1], worded[2]
    plain = _PLAIN.fullmatch(text)
    if plain:
        number, space, unit = plain.groups()
        parsed = parse_unit(unit)
        letters = re.sub(rf"[^{_LETTERS}]", "", unit)
        guessed = not _COUNT.fullmatch(_plain(unit)) and _measured(_plain(unit)) is None
        known = parsed is not None and (not guessed or is_prose(unit) or _CHINESE.fullmatch(_plain(unit)))
        if known and (
            len(letters) >= 2
            or _CHINESE.fullmatch(unit)
            or "^" in unit
            or (space and letters in "mgLNJWVK")
            or (letters in "NmgLhs" and not space and "^" in unit)
            or letters == "N"
        ):
            return number, unit
    return None
