# SPDX-License-Identifier: Apache-2.0
"""The reward's configuration: the schema of `reward.reward_kwargs.klear.*`, and of `klear score --reward.*`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from klear_verl.errors import DataError
from klear_verl.judge import JudgeConfig
from klear_verl.reward.judge_pool.config import JudgePoolConfig
from klear_verl.utils.config import StrictModel, did_you_mean, parse_config

WHERE = "reward.reward_kwargs.klear"

Task = Literal["math", "code"]
CodeShape = Literal["soft", "hard", "centered"]

DATA_SOURCES: Mapping[str, Task] = {
    # Klear-Reasoner's own rows.
    "math_longcot_math_verify": "math",
    "coder1_longcot": "code",
    # Math sets under the names that verl's preprocessing scripts and the public data sets give them.
    "gsm8k": "math",
    "openai/gsm8k": "math",
    "math": "math",
    "math_dapo": "math",
    "DigitalLearningGmbH/MATH-lighteval": "math",
    "lighteval/MATH": "math",
    "HuggingFaceH4/MATH-500": "math",
    "math500": "math",
    "numina_math": "math",
    "agentica-org/DeepScaleR-Preview-Dataset": "math",
    "deepscaler": "math",
    "aime24": "math",
    "aime25": "math",
    "hmmt25": "math",
    "hmmt25_feb": "math",
    "klear_quickstart_math": "math",
    # Code sets.
    "apps": "code",
    "taco": "code",
    "codeforces": "code",
    "codecontests": "code",
    "humaneval": "code",
    "openai/openai_humaneval": "code",
    "mbpp": "code",
    "livecodebench": "code",
    "klear_quickstart_code": "code",
}
"""Which task each known data_source is. `RewardConfig.data_sources` extends and overrides it."""

Reward = Annotated[float, Field(ge=-1e6, le=1e6)]
"""A reward that a recipe sets, small enough for the statistics of a group in float32, in which verl computes
advantages. NaN and the infinities are refused by every `StrictModel`."""


class MathReward(StrictModel):
    """The math reward (paper, section 3: +1 / -1 on final correctness) and the grader's limits."""

    correct: Reward = 1.0
    wrong: Reward = -1.0
    no_think_end: Reward = Field(
        default=-1.0, description="no `</think>`: the released code's -0.5 beats a wrong answer"
    )
    no_think_start: Reward = Field(default=-1.0, description="`</think>` but no `<think>`; the released code gives -2")
    workers: int = Field(default=1, ge=1, description="grader processes")
    cpu_s: float = Field(default=5.0, gt=0, description="CPU time of one grading; over it the process is killed")
    wall_s: float = Field(default=30.0, gt=0, description="wall-clock backstop of one grading")
    memory_mib: int = Field(default=4096, ge=512, description="address space of one grader process")


class CodeReward(StrictModel):
    """The code reward (paper, section 3 and its hard-reward ablation)."""

    shape: CodeShape = "soft"
    malformed: Reward | None = Field(
        default=None, description="no think tags or no program; None: what a program failing every test gets"
    )

    def of(self, pass_rate: float) -> float:
        """The value of a program that passes the share `pass_rate` of its tests, p in [0, 1].

        "soft" is p (the paper: 4 of 16 is 0.25); "centered" is 2p-1 (the released code: 4 of 16 is -0.5); "hard" is +1
        when all tests pass and -1 otherwise (the ablation).
        """
        if self.shape == "soft":
            return pass_rate
        if self.shape == "centered":
            return 2.0 * pass_rate - 1.0
        return 1.0 if pass_rate == 1.0 else -1.0

    @property
    def wrong(self) -> float:
        """The value of a program that fails every test."""
        return self.of(0.0)

    @property
    def malformed_value(self) -> float:
        """The value of a malformed response."""
        return self.wrong if self.malformed is None else self.malformed


class RewardConfig(StrictModel):
    """How responses are scored.

    `think` "off" grades responses without think tags too. `think_prefilled`: see `response.split_answer`. `raw_code`
    takes an answer without a fence as the program. `on_ungraded` says what the verl manager does with a response that
    our machinery failed to grade: "mask" marks it for the trainer to leave out, "fail" raises, "auto" is "mask" under
    a klear trainer and "fail" under any other, which would train on the placeholder.
    """

    think: Literal["required", "off"] = "required"
    think_prefilled: bool | Literal["auto"] = "auto"
    raw_code: bool = False
    math: MathReward = MathReward()
    code: CodeReward = CodeReward()
    data_sources: dict[str, Task] = Field(default_factory=dict)
    judge: JudgeConfig = JudgeConfig()
    judge_pool: JudgePoolConfig = JudgePoolConfig()
    on_ungraded: Literal["auto", "mask", "fail"] = "auto"
    allow_inversion: bool = Field(
        default=False, description="allow a malformed response to score more than a wrong one"
    )

    @model_validator(mode="after")
    def _no_inversion(self) -> RewardConfig:
        if self.math.wrong >= self.math.correct:
            raise ValueError(f"math.wrong ({self.math.wrong}) must be less than math.correct ({self.math.correct})")
        faults = {
            "math.no_think_end": (self.math.no_think_end, self.math.wrong),
            "math.no_think_start": (self.math.no_think_start, self.math.wrong),
            "code.malformed": (self.code.malformed_value, self.code.wrong),
        }
        for key, (value, wrong) in faults.items():
            if value > wrong and not self.allow_inversion:
                raise ValueError(
                    f"{key} ({value}) is more than a wrong answer gets ({wrong}), so that breaking the format pays; "
                    "lower it, or set allow_inversion=true for the released code's behaviour"
                )
        return self

    def task_of(self, data_source: str) -> Task:
        """The task of a data_source.

        Raises:
            DataError: names the unknown data_source, the nearest known one and the key to add.
        """
        known = {**DATA_SOURCES, **self.data_sources}
        if data_source in known:
            return known[data_source]
        raise DataError(
            f"data_source '{data_source}' is unknown ({did_you_mean(str(data_source), known)})",
            f"correct the row, or give its task in the configuration: {WHERE}.data_sources={{'{data_source}': math}}, "
            'or code instead of math (for klear score: --reward.data_sources=\'{"NAME": "math"}\')',
        )

    def with_jobs(self, jobs: int) -> RewardConfig:
        """The same for so many rows at once: `jobs` graders, and as many slots of the judge."""
        math = self.math.model_copy(update={"workers": jobs})
        judge = self.judge.model_copy(update={"slots": jobs})
        return self.model_copy(update={"math": math, "judge": judge})


def reward_config(values: Mapping[str, Any] | None, where: str = WHERE) -> RewardConfig:
    """Validates plain containers as a RewardConfig.

    Raises:
        ConfigError: names each bad key in full, as the user writes it.
    """
    return parse_config(RewardConfig, values, where)
