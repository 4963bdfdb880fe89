# SPDX-License-Identifier: Apache-2.0
"""The command: overrides, exit statuses, and one clear message per mistake before anything heavy starts."""

import os
import signal
import sys

import pytest
import yaml

from klear_verl.evaluation import engine as engine_module
from klear_verl.evaluation.eval_cli import load_config, main


@pytest.fixture(autouse=True)
def environment_of_this_process_stays(monkeypatch):
    # Both set variables for good, and the tests after these would run with them.
    monkeypatch.setattr("klear_verl.cpu.environment.apply", lambda: None)
    monkeypatch.setattr(engine_module, "prepare_environment", lambda *_: None)


@pytest.fixture
def recipe(config, tmp_path):
    path = tmp_path / "recipe.yaml"
    values = config().model_dump(mode="json", exclude_defaults=True)
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def engine(monkeypatch, echo_engine):
    """What the command takes for vLLM."""
    engine = echo_engine()
    monkeypatch.setattr(engine_module, "VllmEngine", lambda *_: engine)
    monkeypatch.setattr(engine_module, "check_vllm", lambda: None)
    return engine


def test_overrides_reach_nested_keys(recipe):
    config = load_config(str(recipe), ["sampling.temperature=1.0", "models.a=elsewhere", "engine.enforce_eager=true"])
    assert (config.sampling.temperature, config.models["a"], config.engine.enforce_eager) == (1.0, "elsewhere", True)


def test_a_whole_run_prints_each_result_and_exits_0(recipe, engine, capsys):
    assert main([str(recipe)]) == 0
    printed = capsys.readouterr()
    assert "a on sums: avg@2" in printed.out
    assert "malformed 6" in printed.out  # the stand-in never closes a think tag
    assert any(line.startswith("[a on sums: graded") and "] 6/6" in line for line in printed.err.splitlines())


def test_ungraded_samples_give_exit_status_1(recipe, engine, capsys, monkeypatch, parity_grader):
    grader = parity_grader({"sums/0/0"})
    monkeypatch.setattr("klear_verl.reward.scorer.Scorer.score_many", lambda self, *rest: grader.score_many(*rest))
    assert main([str(recipe)]) == 1
    assert "2 samples could not be graded" in capsys.readouterr().err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_exit_status_130_and_says_how_to_go_on(recipe, engine, capsys, monkeypatch, how):
    def interrupt(requests):
        os.kill(os.getpid(), how)
        yield from requests

    monkeypatch.setattr(engine, "generate", interrupt)
    assert main([str(recipe)]) == 130
    assert "the same command continues" in capsys.readouterr().err
    assert not engine.open


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sampling.temprature=1"], "sampling.temprature: unknown key; did you mean 'temperature'"),
        (["sampling.temperature"], "is not of the form key=value"),
        (["sampling.temperature=hot"], "sampling.temperature"),
        (["models.a=/nowhere"], "model a: /nowhere: no such folder"),
        (["benchmarks=[{name: x, data: /nowhere.jsonl}]"], "data of the benchmark x: /nowhere.jsonl does not exist"),
        (["out=${nothing}"], "nothing"),
    ],
)
def test_a_mistake_gets_one_message_and_no_engine(recipe, engine, capsys, arguments, message):
    assert main([str(recipe), *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "remedy:" in printed
    assert engine.loaded == []


def test_an_unknown_recipe_is_named(capsys):
    assert main(["no/such/recipe"]) == 2
    assert "no/such/recipe" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", ""])
def test_a_recipe_that_is_no_recipe_is_refused(tmp_path, capsys, content):
    (tmp_path / "bad.yaml").write_text(content)
    assert main([str(tmp_path / "bad.yaml")]) == 2
    assert "klear eval: " in capsys.readouterr().err


def test_a_missing_vllm_is_said_before_anything_else(recipe, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert main([str(recipe)]) == 2
    assert "vllm is not installed" in capsys.readouterr().err
