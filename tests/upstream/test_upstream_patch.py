# SPDX-License-Identifier: Apache-2.0
"""upstream/gppo.patch does what it says on the verl that is installed: it applies, its own test passes in the patched
verl, and its loss is ours and the paper's. One process measures everything (`inside_patched_verl.py`)."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.upstream.patched_verl import UPSTREAM, copy_verl, git_apply, run_inside

HERE = Path(__file__).parent
PATCH = UPSTREAM / "gppo.patch"
OWN_TEST = "tests/trainer/ppo/test_gppo_loss_on_cpu.py"
EXAMPLE = "examples/gppo_trainer/run_qwen3_8b_fsdp.sh"
GENERATED = [f"_generated_ppo{engine}_trainer.yaml" for engine in ("", "_megatron", "_torchtitan", "_veomni")]

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git applies the patch")


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """A folder laid out as verl's repository: the installed verl, patched."""
    root = tmp_path_factory.mktemp("verl")
    copy_verl(root)
    done = git_apply(root, PATCH.name)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="module")
def report(patched):
    script = str(HERE / "inside_patched_verl.py")
    done = run_inside(patched, script, "report.json", OWN_TEST, "verl/trainer/config")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads((patched / "report.json").read_text())
    assert found["verl"] == str(patched / "verl")
    return found


def test_the_patchs_own_tests_pass_in_the_patched_verl(report):
    assert report["exit_status"] == 0, report["patch_tests"]
    assert len(report["patch_tests"]) >= 20
    assert set(report["patch_tests"].values()) == {"passed"}


def test_value_and_gradient_equal_ours_in_float64(report):
    assert report["against_ours"] < 1e-12


def test_value_and_gradient_equal_autograd_through_equation_17_in_float64(report):
    assert report["against_equation_17"] < 1e-12


def test_extreme_ratios_and_garbage_under_the_mask_give_what_ours_gives(report):
    assert report["extreme_tokens"]


def test_metrics_that_it_logs_equal_ours(report):
    theirs, ours = report["shared_metrics"]
    assert theirs["actor/pg_clipfrac"] > 0
    assert theirs == pytest.approx(ours, rel=1e-6)


def test_betas_of_the_configuration_reach_the_dataclass(report):
    assert report["betas_from_yaml"] == ["PolicyLossConfig", 0.75, 1.0]


def test_ours_takes_the_name_gppo_where_both_are_present(report):
    assert report["registered"] == "klear_verl.algorithm.gppo"


def has(node, path):
    return not path or (path[0] in node and has(node[path[0]], path[1:]))


@pytest.mark.parametrize("name", GENERATED)
def test_generated_configuration_has_the_policy_loss_of_the_source(patched, name):
    config = patched / "verl" / "trainer" / "config"
    source = OmegaConf.load(config / "actor" / "actor.yaml").policy_loss
    assert "gppo_beta1" in source
    assert OmegaConf.load(config / name).actor_rollout_ref.actor.policy_loss == source


def test_every_override_of_the_example_is_a_key_of_verl(patched):
    node = OmegaConf.to_container(OmegaConf.load(patched / "verl" / "trainer" / "config" / GENERATED[0]))
    text = (patched / EXAMPLE).read_text()
    keys = re.findall(r"^\s+((?:actor_rollout_ref|algorithm|data|trainer)\.[\w.]+)=", text, re.MULTILINE)
    assert len(keys) > 30
    assert [key for key in keys if not has(node, key.split("."))] == []


def test_the_example_is_a_valid_shell_script(patched):
    assert subprocess.run(["bash", "-n", EXAMPLE], cwd=patched).returncode == 0


def test_the_patch_knows_nothing_of_this_package():
    added = [line for line in PATCH.read_text().splitlines() if line.startswith("+")]
    assert not [line for line in added if "klear_verl" in line]
