# SPDX-License-Identifier: Apache-2.0
"""The whole command on a real engine with two tiny random models: killed, interrupted, resumed, reloaded."""

import importlib.util
import json
import os
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import yaml
from kill_bench.marked import MarkedCommand

from klear_verl.cpu import environment
from tests.running import running, wait_for_success, wait_while_progressing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SAMPLES = 64


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with models a and b (one architecture), a benchmark of 8 rows and a recipe with n = 8."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    folder = tmp_path_factory.mktemp("eval")
    for seed, name in enumerate("ab"):
        make_model(folder / name, seed)
    rows = [
        {
            "data_source": "math_longcot_math_verify",
            "prompt": [{"role": "user", "content": f"what is {number} + {number} ?"}],
            "reward_model": {"ground_truth": str(2 * number)},
        }
        for number in range(8)
    ]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "out": "-",
        "models": {"a": str(folder / "a"), "b": str(folder / "b")},
        "benchmarks": [{"name": "sums", "data": str(folder / "sums.jsonl"), "n": SAMPLES // 8}],
        "sampling": {"temperature": 1.0, "max_tokens": 200},
        "engine": {
            "dtype": "float32",
            "max_model_len": 256,
            "max_num_seqs": 8,
            "enforce_eager": True,
            "gpu_memory_utilization": 0.1,
        },
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def make_model(folder: Path, seed: int) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    alphabet = ["<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    fast.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=fast.eos_token_id,
        initializer_range=0.2,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)


def start(workplace: Path, out: str, **variables: str) -> AbstractContextManager[MarkedCommand]:
    code = "import sys; from klear_verl.evaluation.eval_cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, str(workplace / "recipe.yaml"), f"out={workplace / out}"]
    return running(command, workplace / f"{out}.txt", **variables)


def responses(workplace: Path, out: str, model: str) -> dict[str, str]:
    """The complete rows."""
    content = (workplace / out / model / "sums" / "responses.jsonl").read_bytes()
    rows = map(json.loads, content[: content.rfind(b"\n") + 1].splitlines())
    return {row["id"]: row["response"] for row in rows}


def wait_for_samples(workplace: Path, out: str, run: MarkedCommand, wanted: int) -> None:
    path = workplace / out / "a" / "sums" / "responses.jsonl"
    wait_while_progressing(run, until=lambda: path.exists() and path.read_bytes().count(b"\n") >= wanted)


@pytest.fixture(scope="module")
def whole(workplace) -> str:
    """What an uninterrupted run printed, without vLLM plugins, so that a CPU engine packs its weights."""
    with start(workplace, "whole", VLLM_PLUGINS="") as run:
        wait_for_success(run)
        return run.output


@pytest.fixture(scope="module")
def resumed(workplace) -> str:
    """What a run printed that continued a killed one, with whatever vLLM plugins there are."""
    with start(workplace, "killed") as run:
        wait_for_samples(workplace, "killed", run, 10)
    assert 10 <= len(responses(workplace, "killed", "a")) < SAMPLES, "killed too late to show anything"
    with start(workplace, "killed") as run:
        wait_for_success(run)
        return run.output


def test_every_sample_is_there_and_models_and_samples_differ(workplace, whole):
    a, b = (responses(workplace, "whole", model) for model in "ab")
    assert len(a) == len(b) == SAMPLES
    assert a != b
    assert len({response for name, response in a.items() if name.startswith("sums/0/")}) > 1


def test_a_killed_evaluation_resumes_with_the_same_samples_and_results(workplace, whole, resumed):
    for model in "ab":
        assert responses(workplace, "killed", model) == responses(workplace, "whole", model)
    first, second = (json.loads((workplace / out / "result.json").read_text()) for out in ("whole", "killed"))
    assert (first["a"], first["b"]) == (second["a"], second["b"])


def test_packed_weights_are_never_reloaded(whole):
    # vLLM would reload the other weights only, and say nothing.
    if not environment.on_cpu():
        pytest.skip("only CPU engines pack their weights")
    assert "b: engine started" in whole


def test_reloaded_weights_answer_like_those_of_a_new_engine(workplace, whole, resumed):
    if "b: weights reloaded" not in resumed:
        pytest.skip("klear-verl's vLLM plugin is not installed, so every model gets an engine of its own")
    assert responses(workplace, "killed", "b") == responses(workplace, "whole", "b")


def test_an_interrupt_ends_everything_it_started_and_keeps_what_is_finished(workplace):
    with start(workplace, "interrupted") as run:
        wait_for_samples(workplace, "interrupted", run, 5)
        os.kill(run.process.pid, signal.SIGINT)
        wait_while_progressing(run)
        assert run.process.returncode == 130, run.output
        assert run.processes() == []
    assert "the same command continues" in run.output
    assert "Traceback" not in run.output
    assert len(responses(workplace, "interrupted", "a")) >= 5
