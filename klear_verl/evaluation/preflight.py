# SPDX-License-Identifier: Apache-2.0
"""Everything that can be found wrong before an engine starts: files, checkpoints, rows, prompt lengths, changed
configurations.

What it returns is the work to do; what is on disk from an earlier run is read later, by `runner`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from klear_verl.evaluation.benchmark import (
    Benchmark,
    GenerationRequest,
    load_tokenizer,
    read_benchmark,
    render_prompts,
    requests_of,
)
from klear_verl.evaluation.checkpoint import Checkpoint, read_checkpoint
from klear_verl.evaluation.config import EvalConfig
from klear_verl.evaluation.fingerprint import (
    GENERATION,
    GRADING,
    check_fingerprint,
    generation_fingerprint,
    grading_fingerprint,
)
from klear_verl.reward.references import ReferenceCheck
from klear_verl.reward.score import ScoreRequest


@dataclass(frozen=True)
class Task:
    """One model on one benchmark: what to ask, and the folder that keeps the answers."""

    checkpoint: Checkpoint
    benchmark: Benchmark
    requests: list[GenerationRequest]
    folder: Path

    @property
    def label(self) -> str:
        """How progress lines call it."""
        return f"{self.checkpoint.name} on {self.benchmark.config.name}"


def plan(config: EvalConfig) -> list[Task]:
    """Checks everything and returns the tasks, model by model.

    Fingerprints are written here for tasks that are new, so the caller holds the lock on `out`.

    Raises:
        DataError: a benchmark or one of its rows cannot be used.
        EnvironmentProblem: a checkpoint is missing or cannot be used.
        ConfigError: `out` holds results of another configuration.
    """
    checkpoints = [read_checkpoint(name, path, config.engine.dtype) for name, path in config.models.items()]
    reward = config.reward.with_jobs(config.jobs)
    with ReferenceCheck(reward) as references:
        benchmarks = [read_benchmark(benchmark, reward, references.check) for benchmark in config.benchmarks]
    tasks = []
    for checkpoint in checkpoints:
        tokenizer = load_tokenizer(checkpoint)
        for benchmark in benchmarks:
            prompts = render_prompts(benchmark, tokenizer, config)
            requests = list(requests_of(benchmark, prompts, config.seed))
            folder = Path(config.out) / checkpoint.name / benchmark.config.name
            tasks.append(Task(checkpoint, benchmark, requests, folder))
    for task in tasks:
        check_fingerprint(
            task.folder / GENERATION,
            generation_fingerprint(config, task.checkpoint, task.benchmark),
            f"set the keys back, choose another `out`, or delete {task.folder} to generate again",
        )
        check_fingerprint(
            task.folder / GRADING,
            grading_fingerprint(config),
            f"set the keys back, choose another `out`, or delete {GRADING} and scores.jsonl in {task.folder} "
            "to grade the same responses anew",
        )
    return tasks


def row_id(benchmark: Benchmark, problem: int, sample: int) -> str:
    """The id of a sample in responses.jsonl and scores.jsonl."""
    return f"{benchmark.config.name}/{problem}/{sample}"


def score_request(benchmark: Benchmark, problem: int, sample: int, response: str) -> ScoreRequest:
    """The request to grade one response."""
    row = benchmark.problems[problem]
    return ScoreRequest(
        row_id(benchmark, problem, sample), row.data_source, response, row.ground_truth, row.extra_info, row.where
    )
