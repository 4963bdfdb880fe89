# SPDX-License-Identifier: Apache-2.0
"""The schema of an evaluation recipe (`klear eval`): which models, which benchmarks, how to sample, how to grade.

It checks keys and values only; whether the files exist is checked in `preflight`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from klear_verl.reward.config import RewardConfig
from klear_verl.utils.config import StrictModel

Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="also the name of a folder below `out`")
]


def _is_k_or_off(top_k: int) -> int:
    if top_k != -1 and top_k < 1:
        raise ValueError("top_k must be at least 1, or -1 for all tokens")
    return top_k


class BenchmarkConfig(StrictModel):
    """One benchmark: a file of rows in verl's format, answered `n` times per row."""

    name: Name
    data: str = Field(description="path of a .parquet, .jsonl or .json file")
    n: int = Field(default=1, ge=1, description="samples per problem: the n of avg@n")
    max_problems: int | None = Field(default=None, ge=1, description="only the first rows of the file")


class SamplingConfig(StrictModel):
    """Sampling. The defaults are the paper's (temperature 0.6, top_p 0.95); its script's top_k 20 and penalty 1.05 are
    not in the paper."""

    temperature: float = Field(default=0.6, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    top_k: Annotated[int, AfterValidator(_is_k_or_off)] = -1
    repetition_penalty: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(ge=1, description="tokens of one response, at most")


class EngineConfig(StrictModel):
    """The vLLM engine. Only `dtype`, `max_model_len` and `hf_overrides` can change what a model answers; the rest is
    speed and memory."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_model_len: int = Field(ge=2, description="tokens of prompt and response together, at most")
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    max_num_seqs: int = Field(default=256, ge=1)
    tensor_parallel_size: int = Field(default=1, ge=1)
    enforce_eager: bool = False
    hf_overrides: dict[str, Any] = Field(
        default={}, description="changes to the model's config.json, such as YaRN for 64K"
    )
    reload_in_place: bool = Field(
        default=True, description="on accelerators, load the next checkpoint of an architecture into the running engine"
    )


class EvalConfig(StrictModel):
    """A whole evaluation recipe."""

    out: str = Field(min_length=1)
    models: dict[Name, str] = Field(min_length=1, description="name -> folder with a Hugging Face checkpoint")
    benchmarks: list[BenchmarkConfig] = Field(min_length=1)
    sampling: SamplingConfig
    engine: EngineConfig
    reward: RewardConfig = Field(default=RewardConfig(), validate_default=True)
    chat_template_kwargs: dict[str, Any] = Field(default={}, description="such as enable_thinking")
    seed: int = Field(default=0, ge=0)
    jobs: int = Field(default=1, ge=1, description="responses graded at once")

    @field_validator("reward")
    @classmethod
    def _judge_per_solution(cls, reward: RewardConfig) -> RewardConfig:
        """Nothing learns from these verdicts, so the fast granularity will do, unless the recipe asks for the other."""
        if "granularity" in reward.judge.model_fields_set:
            return reward
        judge = reward.judge.model_copy(update={"granularity": "solution"})
        return reward.model_copy(update={"judge": judge})

    @field_validator("models")
    @classmethod
    def _meta_is_taken(cls, models: dict[str, str]) -> dict[str, str]:
        if "meta" in models:
            raise ValueError("no model may be called 'meta': result.json uses that key")
        return models

    @field_validator("benchmarks")
    @classmethod
    def _names_differ(cls, benchmarks: list[BenchmarkConfig]) -> list[BenchmarkConfig]:
        names = [benchmark.name for benchmark in benchmarks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two benchmarks are called {', '.join(twice)}")
        return benchmarks

    @model_validator(mode="after")
    def _a_response_fits(self) -> EvalConfig:
        if self.sampling.max_tokens >= self.engine.max_model_len:
            raise ValueError(
                f"sampling.max_tokens ({self.sampling.max_tokens}) leaves no room for a prompt in "
                f"engine.max_model_len ({self.engine.max_model_len})"
            )
        return self
