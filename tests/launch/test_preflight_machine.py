# SPDX-License-Identifier: Apache-2.0
"""Too little memory, shared memory, disk or too few accelerators is found by asking the machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.launch.preflight import machine
from klear_verl.launch.preflight.machine import GIB, MIB
from klear_verl.launch.preflight.model import ModelFacts

KEEP = "trainer.max_actor_ckpt_to_keep"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def free_space(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def set_free(size: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(size, 0, size))

    return set_free


def test_estimate_of_a_negligible_model_is_what_was_measured() -> None:
    # 6.7 GiB on one rank, 9.4 GiB on two.
    assert machine.rl_memory_bytes(1, 0, reference_model=False) / GIB == pytest.approx(6.7, abs=0.01)
    assert machine.rl_memory_bytes(2, 0, reference_model=False) / GIB == pytest.approx(9.4, abs=0.01)


def test_estimate_grows_with_the_model_and_a_reference_model_adds_one_copy() -> None:
    billion = 1_000_000_000
    base = machine.rl_memory_bytes(1, 0, reference_model=False)
    assert machine.rl_memory_bytes(1, billion, reference_model=False) - base == 24 * billion
    assert machine.rl_memory_bytes(1, billion, reference_model=True) - base == 28 * billion
    assert machine.sft_memory_bytes(1, billion) - machine.sft_memory_bytes(1, 0) == 16 * billion


def test_too_little_memory_names_both_figures() -> None:
    with pytest.raises(EnvironmentProblem, match=r"about 6\.7 GiB of memory are needed, 4\.0 GiB are available"):
        machine.check_memory(machine.rl_memory_bytes(1, 0, reference_model=False), 4 * GIB)
    machine.check_memory(4 * GIB, 4 * GIB)


def limit(folder: Path, limit_text: str, usage: int, cache: int = 0) -> tuple[tuple[str, str], ...]:
    (folder / "memory.max").write_text(f"{limit_text}\n")
    (folder / "memory.current").write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")
    return ((str(folder / "memory.max"), str(folder / "memory.current")),)


def test_limit_of_the_container_counts_and_its_cache_does_not(tmp_path: Path) -> None:
    assert machine.available_memory_bytes(limit(tmp_path, "1000", 900)) == 100
    assert machine.available_memory_bytes(limit(tmp_path, "1000", 900, cache=300)) == 400


def test_unlimited_container_has_the_machines_memory(tmp_path: Path) -> None:
    available = machine.available_memory_bytes(limit(tmp_path, "max", 900))
    assert available == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_dockers_default_shared_memory_is_too_small(free_space: Callable[[int], None], tmp_path: Path) -> None:
    free_space(64 * MIB)
    with pytest.raises(EnvironmentProblem, match="64 MiB free, about 144 MiB are needed") as caught:
        machine.check_shared_memory(64, 1, str(tmp_path))
    assert "--shm-size" in caught.value.remedy


def test_each_rank_needs_a_bucket(free_space: Callable[[int], None], tmp_path: Path) -> None:
    free_space(144 * MIB)
    machine.check_shared_memory(64, 1, str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="208 MiB are needed"):
        machine.check_shared_memory(64, 2, str(tmp_path))


def test_leftover_segments_are_offered_for_removal(free_space: Callable[[int], None], tmp_path: Path) -> None:
    for name in ("psm_12345", "verl_weights_ab", "sem.other"):
        (tmp_path / name).touch()
    free_space(MIB)
    with pytest.raises(EnvironmentProblem) as caught:
        machine.check_shared_memory(64, 1, str(tmp_path))
    assert "2 leftover segments" in caught.value.remedy


def test_missing_shared_memory_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="does not exist"):
        machine.check_shared_memory(64, 1, str(tmp_path / "shm"))


def test_bucket_must_hold_the_embedding() -> None:
    # Qwen3-8B: 151936 x 4096 float32 = 2374 MiB.
    facts = ModelFacts("m", {"vocab_size": 151936, "hidden_size": 4096}, 0)
    with pytest.raises(ConfigError, match="takes 2374 MiB in float32"):
        machine.check_bucket(2373, facts)
    machine.check_bucket(2374, facts)


def test_full_disk_is_said(free_space: Callable[[int], None], tmp_path: Path) -> None:
    free_space(GIB)
    with pytest.raises(EnvironmentProblem, match=r"has 1\.0 GiB free, checkpoints need about 2\.0 GiB"):
        machine.check_disk(str(tmp_path / "not" / "yet"), 2 * GIB, "trainer.default_local_dir", KEEP)


def test_remedy_for_a_full_disk_holds_for_a_run_that_goes_on(free_space: Callable[[int], None], tmp_path: Path) -> None:
    free_space(GIB)
    with pytest.raises(EnvironmentProblem) as caught:
        machine.check_disk(str(tmp_path), 2 * GIB, "trainer.default_local_dir", KEEP)
    assert "free some space" in caught.value.remedy
    assert KEEP in caught.value.remedy
    assert "a new run may also use another folder" in caught.value.remedy


def test_room_that_is_freed_before_it_is_needed_counts(free_space: Callable[[int], None], tmp_path: Path) -> None:
    free_space(GIB)
    machine.check_disk(str(tmp_path), 2 * GIB, "trainer.default_local_dir", KEEP, half_written=GIB)


def test_file_in_place_of_the_checkpoint_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(EnvironmentProblem, match="is a file"):
        machine.check_disk(str(tmp_path / "taken"), 0, "trainer.default_local_dir", KEEP)


@pytest.mark.parametrize(("devices", "said"), [(0, "no CUDA device"), (1, "1 CUDA devices are visible")])
def test_too_few_accelerators_are_said(monkeypatch: pytest.MonkeyPatch, devices: int, said: str) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    with pytest.raises(EnvironmentProblem, match=said):
        machine.check_accelerators("cuda", 2, 1)
    machine.check_accelerators("cuda", 2, 4)  # the accelerators of a cluster are Ray's business
    machine.check_accelerators("cpu", 2, 1)
