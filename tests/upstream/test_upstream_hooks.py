# SPDX-License-Identifier: Apache-2.0
"""The hooks that verl lacks, as patches in upstream/: each applies to the verl that is installed, alone and beside the
others, its own tests pass there, and our code and the documents name it."""

import re
import shutil

import pytest

from tests.upstream.patched_verl import REPOSITORY, UPSTREAM, copy_verl, git_apply, run_inside

HOOKS = {
    "trainer_hooks.patch": "tests/trainer/ppo/test_trainer_hooks_on_cpu.py",
    "worker_group.patch": "tests/single_controller/test_data_parallel_size_on_cpu.py",
    "policy_loss_fn.patch": "tests/workers/test_policy_loss_fn_on_cpu.py",
}
TRAINER = REPOSITORY / "klear_verl" / "trainer"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git applies the patches")
each = pytest.mark.parametrize("name", HOOKS)


@pytest.fixture(scope="module")
def verl(tmp_path_factory):
    """With every patch of upstream/ applied, after each was found to apply alone."""
    root = tmp_path_factory.mktemp("verl")
    copy_verl(root)
    for name in HOOKS:
        alone = git_apply(root, name, "--check")
        assert alone.returncode == 0, alone.stderr
    for name in sorted(path.name for path in UPSTREAM.glob("*.patch")):
        done = git_apply(root, name)
        assert done.returncode == 0, done.stderr
    return root


def test_the_patches_own_tests_pass_in_the_patched_verl(verl):
    alone = ["-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".", "-q", "-rA"]
    done = run_inside(verl, "-W", "ignore", "-m", "pytest", *alone, *HOOKS.values())
    assert done.returncode == 0, done.stdout[-4000:]
    for test in HOOKS.values():
        assert f"PASSED {test}::" in done.stdout


@each
def test_a_patch_is_in_verls_style(name):
    text = (UPSTREAM / name).read_text()
    added = [line[1:] for line in text.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert max(map(len, added)) <= 120
    assert not [line for line in added if "klear" in line.lower()]
    assert HOOKS[name].endswith("_on_cpu.py")
    assert any(line.startswith("# Licensed under the Apache License") for line in added)


@each
def test_our_code_and_the_documents_name_the_patch(name):
    assert any(f"upstream/{name}" in path.read_text() for path in TRAINER.glob("*.py"))
    for document in (UPSTREAM / "README.md", REPOSITORY / "docs" / "upstream.md"):
        assert f"`{name}`" in document.read_text()


def test_every_hook_that_our_code_names_is_in_its_patch():
    named = set()
    for path in TRAINER.glob("*.py"):
        # Comments and docstrings are wrapped.
        text = re.sub(r"\s*\n\s*(# )?", " ", path.read_text())
        for hooks, patch in re.findall(r"Replaced by: ([^()]*(?:\([^()]*\)[^()]*)?)\(upstream/(\w+\.patch)\)", text):
            named |= {(hook, patch) for hook in re.findall(r"`(?:\w+\.)?(\w+)", hooks)}
    assert len(named) >= 8
    for hook, patch in named:
        assert re.search(rf"^\+.*\b{hook}\b", (UPSTREAM / patch).read_text(), re.MULTILINE), (hook, patch)
