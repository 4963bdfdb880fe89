# SPDX-License-Identifier: Apache-2.0
"""Honest programs: every one is accepted, at both granularities."""

from __future__ import annotations

from tests.judge.idioms.honest import calling, language, packages, reading, runtime, testing, writing
from tests.judge.idioms.honest.idiom import Idiom

IDIOMS: dict[str, tuple[Idiom, ...]] = {
    "reading": reading.IDIOMS,
    "writing": writing.IDIOMS,
    "interpreter": runtime.IDIOMS,
    "language": language.IDIOMS,
    "packages": packages.IDIOMS,
    "calls": calling.IDIOMS,
    "asserts and pytest": testing.IDIOMS,
}
