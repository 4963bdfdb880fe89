# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the evaluation tests: rows, checkpoint folders without a model, stand-ins for engine and grader."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from klear_verl.evaluation import preflight
from klear_verl.evaluation.benchmark import Generation
from klear_verl.evaluation.config import EvalConfig
from klear_verl.reward.score import Score


class CharTokenizer:
    """One token per character of the rendered chat."""

    chat_template = "yes"

    def apply_chat_template(self, conversation, **kwargs):
        assert kwargs["tokenize"] and kwargs["add_generation_prompt"]
        text = "".join(f"<{message['role']}>{message['content']}" for message in conversation) + "<assistant>"
        return [ord(character) for character in text]


class EchoEngine:
    """Answers with the model's name and the seed; can be told to fail after a number of samples."""

    def __init__(self, fail_after: int | None = None):
        self.fail_after = fail_after
        self.loaded: list[str] = []
        self.seeds: list[int] = []
        self.open = False

    def load(self, checkpoint):
        self.loaded.append(checkpoint.name)
        self.open = True
        return "engine started"

    def generate(self, requests):
        assert self.open
        # Out of order on purpose: an engine finishes short responses first.
        for request in reversed(list(requests)):
            if self.fail_after is not None and len(self.seeds) == self.fail_after:
                raise RuntimeError("the engine died")
            self.seeds.append(request.seed)
            yield Generation(request.key, f"{self.loaded[-1]} {request.seed}", "stop", 3)

    def close(self):
        self.open = False


class ParityGrader:
    """A response is right when its seed is even. `ungraded` names ids that it fails to grade."""

    def __init__(self, ungraded: set[str] | None = None):
        self.ungraded = ungraded or set()
        self.asked: list[str] = []

    def score_many(self, requests, jobs=1):
        for request in requests:
            self.asked.append(request.id)
            if request.id in self.ungraded:
                yield Score(request.id, None, None, None, "ungraded", detail="grader timed out")
            else:
                right = int(request.response.split()[1]) % 2 == 0
                yield Score(request.id, 1.0 if right else -1.0, right, None, "graded")


def math_row(question: str = "1 + 1 ?", answer: str = "2", **changes: Any) -> dict[str, Any]:
    row = {
        "data_source": "math_longcot_math_verify",
        "prompt": [{"role": "user", "content": question}],
        "ability": "math",
        "reward_model": {"ground_truth": answer, "style": "rule"},
        "extra_info": {"index": 0},
    }
    return {**row, **changes}


def checkpoint_folder(path: Path, weight: float = 1.0, **config: Any) -> Path:
    """A folder that looks like a checkpoint: one tensor `w` of one float32, in the safetensors format."""
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"architectures": ["Qwen3ForCausalLM"], "hidden_size": 8, **config}))
    (path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}}))
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", weight))
    return path


@pytest.fixture
def echo_engine():
    return EchoEngine


@pytest.fixture
def parity_grader():
    return ParityGrader


@pytest.fixture
def char_tokenizer():
    return CharTokenizer()


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    return math_row


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    return lambda name, **changes: checkpoint_folder(tmp_path / "models" / name, **changes)


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[Any], name: str = "data.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def config(tmp_path: Path, write_jsonl, make_checkpoint, monkeypatch) -> Callable[..., EvalConfig]:
    """A valid configuration: models a and b, benchmark `sums` with 3 rows, n = 2, tokens of one character."""
    # The checkpoints made here hold weights alone; real ones, with tokenizers, are in test_eval_on_vllm.py.
    monkeypatch.setattr(preflight, "load_tokenizer", lambda checkpoint: CharTokenizer())
    rows = [math_row(f"{number} + 1 ?", str(number + 1)) for number in range(3)]
    values = {
        "out": str(tmp_path / "out"),
        "models": {"a": str(make_checkpoint("a", weight=1.0)), "b": str(make_checkpoint("b", weight=2.0))},
        "benchmarks": [{"name": "sums", "data": str(write_jsonl(rows)), "n": 2}],
        "sampling": {"max_tokens": 16},
        "engine": {"max_model_len": 128, "dtype": "float32"},
    }
    return lambda **changes: EvalConfig.model_validate({**values, **changes})
