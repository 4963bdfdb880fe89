# SPDX-License-Identifier: Apache-2.0
"""A programming problem as the judge sees it: tests as data, whatever format they came in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StdioTest(_Frozen):
    """Run the program with `input` on standard input; its standard output is compared with `output`."""

    kind: Literal["stdio"] = "stdio"
    input: str
    output: str


class CallTest(_Frozen):
    """Call `Problem.entry_point` with `args`; its return value (JSON values; tuple counts as list) is compared with
    `expected`.

    `alternatives` are further accepted values: APPS wraps some of its expected values in a list and doesn't say which.
    """

    kind: Literal["call"] = "call"
    args: list[Any]
    expected: Any
    alternatives: tuple[Any, ...] = ()


class AssertTest(_Frozen):
    """Code with asserts, executed after the solution in the same namespace (HumanEval, MBPP, Klear's `functional`)."""

    kind: Literal["assert"] = "assert"
    code: str


class PytestTest(_Frozen):
    """A pytest-style module, executed after the solution; every `test_*` function must pass."""

    kind: Literal["pytest"] = "pytest"
    code: str


Test = Annotated[StdioTest | CallTest | AssertTest | PytestTest, Field(discriminator="kind")]
Comparison = Literal["lines", "tokens", "exact", "float"]


class Problem(_Frozen):
    """One problem with at least one test.

    `id` decides, with the seed, which tests are drawn when there are more than the configured maximum, so it must be
    the same for every response of a group. `time_limit_s` and `max_tests` override the judge's configuration where the
    data says so.
    """

    id: str
    tests: tuple[Test, ...] = Field(min_length=1)
    entry_point: str | None = None
    comparison: Comparison = "lines"
    time_limit_s: float | None = Field(default=None, gt=0)
    max_tests: int | None = Field(default=None, ge=1)
