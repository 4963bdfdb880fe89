# SPDX-License-Identifier: Apache-2.0
"""Everything that can be found wrong before an engine starts: files, checkpoints, rows, prompt lengths, changed
configurations.

What it returns is the work to do; what is on disk from an earlier run is read later, by `runner`, all but the
fingerprints: what the results depend on, kept beside them, so that a resumed evaluation never mixes two configurations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from klear_verl.errors import ConfigError, DataError
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
from klear_verl.reward.references import ReferenceCheck
from klear_verl.reward.score import ScoreRequest
from klear_verl.utils.files import write_json

GENERATION = "generation.json"
GRADING = "grading.json"


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
            _generation_fingerprint(config, task.checkpoint, task.benchmark),
            f"set the keys back, choose another `out`, or delete {task.folder} to generate again",
        )
        check_fingerprint(
            task.folder / GRADING,
            _grading_fingerprint(config),
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


def _generation_fingerprint(config: EvalConfig, checkpoint: Checkpoint, benchmark: Benchmark) -> dict[str, Any]:
    """Everything a response depends on. Not `n` and `max_problems`: raising them adds samples to those that are
    there."""
    return {
        "model": checkpoint.digest,
        "data": benchmark.digest,
        "seed": config.seed,
        "sampling": config.sampling.model_dump(mode="json"),
        "engine": config.engine.model_dump(mode="json", include={"dtype", "max_model_len", "hf_overrides"}),
        "chat_template_kwargs": config.chat_template_kwargs,
    }


def _grading_fingerprint(config: EvalConfig) -> dict[str, Any]:
    """Everything a score depends on besides the response. Numbers of workers don't count."""
    return {"reward": config.reward.model_dump(mode="json", exclude={"judge": {"slots"}, "math": {"workers"}})}


def check_fingerprint(path: Path, wanted: dict[str, Any], remedy: str) -> None:
    """Compares with the fingerprint of the earlier run, or writes it if there was none.

    Raises:
        ConfigError: they differ; names each differing key with both values.
        DataError: the file of the earlier run cannot be read.
    """
    wanted = json.loads(json.dumps(wanted))
    if not path.exists():
        write_json(path, wanted)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})", f"delete the folder {path.parent} to evaluate again") from error
    before, now = dict(_leaves(found, "")), dict(_leaves(wanted, ""))
    changed = [
        f"{key}: {_shown(before, key)} -> {_shown(now, key)}"
        for key in sorted({*before, *now})
        if before.get(key, _MISSING) != now.get(key, _MISSING)
    ]
    if changed:
        raise ConfigError(f"{path.parent}: was begun with another configuration ({'; '.join(changed)})", remedy)


_MISSING = object()


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    else:
        yield key, value


def _shown(leaves: dict[str, Any], key: str) -> str:
    if key not in leaves:
        return "(absent)"
    text = json.dumps(leaves[key])
    return text if len(text) <= 24 else text[:20] + '…"'
