# SPDX-License-Identifier: Apache-2.0
"""Runs cases: verl's workers in one process group per world size, all cases in one go, and the reference beside them.

A process takes seconds to import verl and milliseconds per case, so nothing here starts one per case.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from klear_verl.cpu.environment import ALWAYS, CPU_ONLY
from klear_verl.trainer.packing import row_order
from tests.running import running, wait_while_progressing
from tests.trainer.gradients import reference
from tests.trainer.gradients.gradient_cases import EOS, VOCABULARY, Batch, Case, make_rows
from tests.trainer.gradients.reference import Objective, Result, Sample

ROOT = Path(__file__).parents[3]


@dataclass
class Outcome:
    """What verl's workers gave: the gradient of each mini-batch (or the weights after them), and the step's metrics."""

    tensors: list[dict[str, torch.Tensor]]
    metrics: dict[str, float]


class Runs:
    """`runs[case]` is what the workers gave, `runs.reference(case)` what the equations give for each mini-batch."""

    def __init__(self, folder: Path, cases: Iterable[Case]):
        self.cases = list(dict.fromkeys(cases))
        self.paths = {tied: build_model(folder / f"model-tied-{tied}", tied) for tied in (False, True)}
        self.models = {tied: reference.load(path) for tied, path in self.paths.items()}
        self._rows: dict[Batch, list[Sample]] = {}
        self._references: dict[tuple[Batch, Objective, bool], list[Result]] = {}
        self._outcomes = self._run(folder)

    def __getitem__(self, case: Case) -> Outcome:
        return self._outcomes[case]

    def rows(self, batch: Batch) -> list[Sample]:
        """The rows of a batch, mini-batch by mini-batch. Ratios are relative to the untied model."""
        if batch not in self._rows:
            self._rows[batch] = make_rows(batch, self.models[False])
        return self._rows[batch]

    def reference(self, case: Case) -> list[Result]:
        """One result per mini-batch."""
        key = (case.batch, case.objective, case.engine.tied)
        if key not in self._references:
            rows = self.rows(case.batch)
            self._references[key] = [
                reference.evaluate(
                    self.models[case.engine.tied], [row for row in rows if row.mini_batch == number], case.objective
                )
                for number in range(case.batch.mini_batches)
            ]
        return self._references[key]

    def _run(self, folder: Path) -> dict[Case, Outcome]:
        """All process groups of a device side by side."""
        jobs: dict[str, dict[int, list[Case]]] = {}
        for case in self.cases:
            jobs.setdefault(case.engine.device, {}).setdefault(case.engine.world_size, []).append(case)
        outcomes: dict[Case, Outcome] = {}
        for device, by_size in jobs.items():
            folders = [self._write_job(folder / f"{device}-{size}", cases) for size, cases in by_size.items()]
            _run_jobs(folders, device)
            for own in folders:
                found: dict[Case, Any] = torch.load(own / "results.pt", weights_only=False)
                outcomes |= {case: Outcome(**result) for case, result in found.items()}
        return outcomes

    def _write_job(self, folder: Path, cases: list[Case]) -> Path:
        folder.mkdir()
        rows = {
            (case.batch, case.engine.data_parallel): self._sharded(case.batch, case.engine.data_parallel)
            for case in cases
        }
        models = {tied: str(path) for tied, path in self.paths.items()}
        torch.save({"models": models, "cases": cases, "rows": rows}, folder / "job.pt")
        return folder

    def _sharded(self, batch: Batch, ranks: int) -> list[Sample]:
        """All rows of rank 0, then of rank 1: as they stand where there is one mini-batch, so that a batch can say
        which rank has what, and by the trainer's own layout where there are several."""
        rows = self.rows(batch)
        if batch.mini_batches == 1:
            return rows
        work = [
            [len(row.prompt) + len(row.response) for row in rows if row.mini_batch == number]
            for number in range(batch.mini_batches)
        ]
        return [rows[number] for number in row_order(work, ranks, _dealt_out)]


def largest_difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """max |found - expected| / max |expected| of a parameter, the largest of all parameters."""
    assert found.keys() == expected.keys()
    return max(float((found[name] - value).abs().max() / value.abs().max()) for name, value in expected.items())


def relative_distance(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """|found - expected| / |expected|, of all parameters taken as one vector."""
    assert found.keys() == expected.keys()
    apart = sum(float((found[name].double() - value).square().sum()) for name, value in expected.items())
    return (apart / sum(float(value.square().sum()) for value in expected.values())) ** 0.5


def _dealt_out(work: Sequence[int], parts: int) -> list[list[int]]:
    """The longest rows first, one to each part in turn."""
    order = sorted(range(len(work)), key=lambda index: -work[index])
    return [order[part::parts] for part in range(parts)]


def build_model(path: Path, tied: bool) -> Path:
    """A Qwen3 of some ten thousand parameters with weights large enough for sharp distributions, and its tokenizer."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(7)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        initializer_range=0.3,
        eos_token_id=EOS,
        bos_token_id=None,
        pad_token_id=0,
        dtype="float32",
    )
    Qwen3ForCausalLM(config).save_pretrained(path)
    words = {f"w{number}": number for number in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=f"w{EOS}", pad_token="w0").save_pretrained(path)
    return path


def _run_jobs(folders: list[Path], device: str) -> None:
    """Raises RuntimeError if a rank fails, with the end of the logs that hold a traceback."""
    environment = {**ALWAYS, **(CPU_ONLY if device == "cpu" else {})}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "tests.trainer.gradients.gradient_worker", *map(str, folders)]
    with running(command, folders[0] / "output", **environment) as run:
        wait_while_progressing(run)
    if run.process.returncode:
        logs = [log.read_text(errors="replace") for own in folders for log in sorted(own.glob("rank*.log"))]
        failed = [text[-4000:] for text in [run.output, *logs] if "Traceback" in text]
        raise RuntimeError("\n==\n".join([f"the workers ended with {run.process.returncode}", *failed]))
