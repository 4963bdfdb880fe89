# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster that a run would join, and could not, is found before; so are ports in use and the token trap."""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.launch.preflight import ray_cluster
from klear_verl.launch.preflight.ray_cluster import (
    check_auth_mode,
    check_port_free,
    check_ray,
    check_versions,
    cluster_address,
)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port on which something listens that never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """An environment in which no cluster is known."""
    return {"RAY_TMPDIR": str(tmp_path), "HOME": str(tmp_path)}


def left_by_ray_start(environ: dict[str, str], address: str) -> dict[str, str]:
    folder = Path(environ["RAY_TMPDIR"]) / "ray"
    folder.mkdir()
    (folder / "ray_current_cluster").write_text(address)
    return environ


def test_without_any_address_a_new_cluster_is_started(alone: dict[str, str]) -> None:
    assert cluster_address({}, alone) is None
    check_ray({"num_cpus": 2}, alone)


def test_local_always_means_a_new_cluster(alone: dict[str, str]) -> None:
    assert cluster_address({}, left_by_ray_start(alone, "10.0.0.1:6379") | {"RAY_ADDRESS": "local"}) is None
    assert cluster_address({"address": "local"}, alone) is None


def test_running_cluster_is_found_as_ray_finds_it(alone: dict[str, str]) -> None:
    environ = left_by_ray_start(alone, "10.0.0.1:6379")
    assert (cluster_address({}, environ) or ("",))[0] == "10.0.0.1:6379"
    assert cluster_address({}, environ | {"RAY_ADDRESS": "10.0.0.2:1"}) == ("10.0.0.2:1", "RAY_ADDRESS")
    assert cluster_address({"address": "10.0.0.3:1"}, environ | {"RAY_ADDRESS": "10.0.0.2:1"}) == (
        "10.0.0.3:1",
        "ray_kwargs.ray_init.address",
    )


def test_stale_address_file_is_named_at_once(
    alone: dict[str, str], closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "TIMEOUT_S", 200.0)
    started = time.monotonic()
    with pytest.raises(EnvironmentProblem, match=r"no Ray cluster answers at .*ray_current_cluster") as caught:
        check_ray({}, left_by_ray_start(alone, f"127.0.0.1:{closed_port}"))
    assert time.monotonic() - started < 150  # no time-out is waited for
    assert "RAY_ADDRESS=local" in caught.value.remedy


@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379x"])
def test_malformed_address_is_named(alone: dict[str, str], address: str) -> None:
    with pytest.raises(EnvironmentProblem, match="is no Ray address"):
        check_ray({}, alone | {"RAY_ADDRESS": address})


def test_auto_without_a_cluster_is_said(alone: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services

    monkeypatch.setattr(services, "find_gcs_addresses", set)  # a cluster of somebody else may run beside the tests
    with pytest.raises(EnvironmentProblem, match="no Ray cluster runs here"):
        check_ray({"address": "auto"}, alone)


def test_options_of_a_new_cluster_are_refused_when_one_is_joined(alone: dict[str, str], silent_port: int) -> None:
    with pytest.raises(ConfigError, match=r"refuses ray_kwargs\.ray_init\.num_cpus, ray_kwargs\.ray_init\.num_gpus"):
        check_ray({"num_cpus": 16, "num_gpus": 1}, alone | {"RAY_ADDRESS": f"127.0.0.1:{silent_port}"})


def test_port_that_does_not_speak_ray_is_given_up_in_time(
    alone: dict[str, str], silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "TIMEOUT_S", 3.0)
    started = time.monotonic()
    with pytest.raises(EnvironmentProblem):
        check_ray({}, alone | {"RAY_ADDRESS": f"127.0.0.1:{silent_port}"})
    assert time.monotonic() - started < 150


def test_same_versions_pass_and_others_are_named() -> None:
    ours = {"ray_version": version("ray"), "python_version": platform.python_version()}
    check_versions(ours, "h:1", "")
    with pytest.raises(EnvironmentProblem, match=r"runs Ray 2\.9\.0 \(here: "):
        check_versions(ours | {"ray_version": "2.9.0"}, "h:1", "")
    with pytest.raises(EnvironmentProblem, match=r"runs Python 3\.8\.1 \(here: "):
        check_versions(ours | {"python_version": "3.8.1"}, "h:1", "")


def test_token_file_without_a_mode_is_the_silent_trap(alone: dict[str, str]) -> None:
    check_auth_mode(alone)
    token = Path(alone["HOME"]) / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("x")
    with pytest.raises(EnvironmentProblem, match="RAY_AUTH_MODE is not set") as caught:
        check_auth_mode(alone)
    assert "RAY_AUTH_MODE=disabled" in caught.value.remedy
    check_auth_mode(alone | {"RAY_AUTH_MODE": "disabled"})


def test_token_mode_without_a_token_and_unknown_mode_are_said(alone: dict[str, str]) -> None:
    with pytest.raises(EnvironmentProblem, match="there is no token"):
        check_auth_mode(alone | {"RAY_AUTH_MODE": "token"})
    with pytest.raises(EnvironmentProblem, match="RAY_AUTH_MODE=off is unknown"):
        check_auth_mode(alone | {"RAY_AUTH_MODE": "off"})


def test_port_in_use_is_named_with_its_option(silent_port: int, closed_port: int) -> None:
    with pytest.raises(EnvironmentProblem, match=f"MASTER_PORT={silent_port}: the port is in use"):
        check_port_free(silent_port, "MASTER_PORT")
    check_port_free(closed_port, "MASTER_PORT")


def test_dashboard_port_in_use_is_named(alone: dict[str, str], silent_port: int) -> None:
    with pytest.raises(EnvironmentProblem, match="dashboard_port"):
        check_ray({"dashboard_port": silent_port}, alone)
    check_ray({"dashboard_port": silent_port, "include_dashboard": False}, alone)


@pytest.mark.parametrize("port", ["http", 0, 65536, "-1"])
def test_number_that_is_no_port_is_said(port: object) -> None:
    with pytest.raises(ConfigError, match="is no port"):
        check_port_free(port, "MASTER_PORT")
