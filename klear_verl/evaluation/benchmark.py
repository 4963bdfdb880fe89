# SPDX-License-Identifier: Apache-2.0
"""From a benchmark's file to requests for an engine: its rows, rendered prompts with checked lengths, a seed per
sample."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from klear_verl.data.parallel import map_in_order
from klear_verl.data.rows import check_file, good_row, read_rows
from klear_verl.data.schemas import TrainingRow, TruthCheck, training_row
from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.evaluation.checkpoint import Checkpoint
from klear_verl.evaluation.config import BenchmarkConfig, EvalConfig
from klear_verl.reward.config import RewardConfig


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that has been read: its problems, the positions of those that are judged by tests, and the SHA-256 of
    the file."""

    config: BenchmarkConfig
    problems: list[TrainingRow]
    code: frozenset[int]
    digest: str


def read_benchmark(config: BenchmarkConfig, reward: RewardConfig, check: TruthCheck) -> Benchmark:
    """Reads the first `max_problems` rows of the benchmark's file (all of them by default).

    Args:
        config: names the file.
        reward: says which rows are judged by tests, and how many rows are checked at once.
        check: whether responses to a row can be graded.

    Raises:
        DataError: the file or one of these rows cannot be used; names it.
    """
    path = check_file(config.data, f"data of the benchmark {config.name}")
    rows = islice(read_rows(path, ["prompt", "data_source", "reward_model"], ["extra_info"]), config.max_problems)
    problems = list(map_in_order(lambda row: training_row(good_row(row), check), rows, reward.math.workers))
    code = frozenset(number for number, problem in enumerate(problems) if reward.task_of(problem.data_source) == "code")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Benchmark(config, problems, code, digest)


@dataclass(frozen=True)
class GenerationRequest:
    """One sample to generate. `key` is (problem index, sample index)."""

    key: tuple[int, int]
    prompt_token_ids: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Generation:
    """One generated sample. `finish_reason` "length" means it was cut off; `tokens` counts those of the response."""

    key: tuple[int, int]
    response: str
    finish_reason: str
    tokens: int


class ChatTokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is needed."""

    chat_template: Any

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any: ...


def load_tokenizer(checkpoint: Checkpoint) -> ChatTokenizer:
    """The checkpoint's tokenizer, from its folder alone.

    Raises:
        EnvironmentProblem: it cannot be loaded, or has no chat template.
    """
    from transformers import AutoTokenizer

    label = f"model {checkpoint.name}: {checkpoint.path}"
    try:
        tokenizer: ChatTokenizer = AutoTokenizer.from_pretrained(checkpoint.path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise EnvironmentProblem(f"{label}: its tokenizer cannot be loaded ({error})", "save it again") from error
    if not tokenizer.chat_template:
        raise EnvironmentProblem(
            f"{label}: its tokenizer has no chat template", "add a chat_template.jinja, the one that training used"
        )
    return tokenizer


def render_prompts(benchmark: Benchmark, tokenizer: ChatTokenizer, config: EvalConfig) -> list[tuple[int, ...]]:
    """The token ids of each problem's prompt, through the chat template, with the opening of the assistant's turn.

    Raises:
        DataError: names the row whose prompt leaves no room for `sampling.max_tokens` in `engine.max_model_len`, or
            which the template refuses.
    """
    import jinja2

    room = config.engine.max_model_len - config.sampling.max_tokens
    prompts = []
    for problem in benchmark.problems:
        try:
            ids = tokenizer.apply_chat_template(
                problem.prompt,
                tokenize=True,
                add_generation_prompt=True,
                return_dict=False,
                **config.chat_template_kwargs,
            )
        except jinja2.TemplateError as error:
            raise DataError(
                f"{problem.where}: the chat template refuses the prompt ({error})", "correct the row"
            ) from error
        if len(ids) > room:
            raise DataError(
                f"{problem.where}: the prompt has {len(ids)} tokens, which is more than engine.max_model_len "
                f"{config.engine.max_model_len} - sampling.max_tokens {config.sampling.max_tokens} = {room}",
                "raise engine.max_model_len, lower sampling.max_tokens, or leave the row out",
            )
        prompts.append(tuple(ids))
    return prompts


def sample_seed(seed: int, benchmark: str, problem: int, sample: int) -> int:
    """The seed of one sample, 31 bits: a function of its place alone, so that a resumed evaluation draws the same."""
    digest = hashlib.sha256(f"{seed}/{benchmark}/{problem}/{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def requests_of(benchmark: Benchmark, prompts: list[tuple[int, ...]], seed: int) -> Iterator[GenerationRequest]:
    """Every sample of the benchmark, problem by problem (samples of one problem share the engine's prefix cache)."""
    for problem, prompt in enumerate(prompts):
        for sample in range(benchmark.config.n):
            key = (problem, sample)
            yield GenerationRequest(key, prompt, sample_seed(seed, benchmark.config.name, *key))
