# SPDX-License-Identifier: Apache-2.0
"""Which Ray cluster a run would join, and whether it can; what a run on several nodes needs. Starts and stops nothing,
looks at no other node; every look is bounded to TIMEOUT_S."""

from __future__ import annotations

import errno
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from klear_verl.data.rows import is_remote
from klear_verl.errors import ConfigError, EnvironmentProblem
from klear_verl.launch.preflight.view import RLView, SFTView

TIMEOUT_S = 10.0
CONNECT_S = 3.0

_CLUSTER_OPTIONS = ("num_cpus", "num_gpus", "resources", "object_store_memory", "labels", "_system_config")
"""`ray.init` refuses these when it joins a cluster."""

_METADATA = """
import json, sys
from ray._common.usage import usage_lib
from ray._raylet import GcsClient
print("METADATA " + json.dumps(usage_lib.get_cluster_metadata(GcsClient(address=sys.argv[1]))))
"""


def cluster_address(ray_init: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """The cluster that `ray.init(**ray_init)` would join, in Ray's own order, and where the address comes from; None
    for a new one.

    Order (ray._private.services): RAY_ADDRESS overrides an address that is absent or "auto", then the file that the
    last `ray start` left.
    """
    explicit = ray_init.get("address")
    address, origin = (str(explicit), "ray_kwargs.ray_init.address") if explicit else (None, "")
    if address in (None, "auto") and environ.get("RAY_ADDRESS"):
        address, origin = environ["RAY_ADDRESS"], "RAY_ADDRESS"
    if address in (None, "auto"):
        file = Path(environ.get("RAY_TMPDIR") or environ.get("TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
        if file.is_file() and (text := file.read_text(encoding="utf-8").strip()):
            address, origin = text, str(file)
    if address == "auto":
        from ray._private.services import find_gcs_addresses

        if not (running := sorted(find_gcs_addresses())):
            raise EnvironmentProblem(f"{origin}=auto, but no Ray cluster runs here", "ray start --head, or drop 'auto'")
        address = running[0]
    return None if address in (None, "local") else (str(address), origin)


def check_ray(ray_init: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> None:
    """A cluster that would be joined must answer, have our versions and get no options of a new one; a new one needs
    its ports.

    Raises:
        EnvironmentProblem: nothing answers, other versions, or a port in use.
        ConfigError: options that only a new cluster takes.
    """
    joined = cluster_address(ray_init, environ)
    if joined is None:
        if ray_init.get("include_dashboard") is not False and ray_init.get("dashboard_port"):
            check_port_free(ray_init["dashboard_port"], "ray_kwargs.ray_init.dashboard_port")
        return
    address, origin = joined
    local = "to start a cluster of its own: RAY_ADDRESS=local"
    check_reachable(address, origin, local)
    if given := [name for name in _CLUSTER_OPTIONS if ray_init.get(name) is not None]:
        options = ", ".join(f"ray_kwargs.ray_init.{name}" for name in given)
        raise ConfigError(
            f"a Ray cluster runs at {address} ({origin}), and Ray refuses {options} when it joins one",
            f"set them to null to join it; {local}; or end the other cluster: ray stop",
        )
    if not address.startswith("ray://"):
        check_versions(cluster_metadata(address, origin, local), address, local)


def check_cluster_for_nodes(nodes: int, ray_init: Mapping[str, Any]) -> None:
    """A Ray that a run starts by itself has one node.

    Raises:
        EnvironmentProblem: several nodes are asked for, and there is no cluster to join.
    """
    if nodes > 1 and cluster_address(ray_init) is None:
        raise EnvironmentProblem(
            f"trainer.nnodes={nodes}, but there is no Ray cluster here to join, and a run's own has one node",
            "start one first: `ray start --head` on this node, `ray start --address=THIS_NODE:6379` on the others",
        )


def check_shared_paths(view: RLView | SFTView, model_key: str) -> None:
    """On several nodes, files that are named must be named absolutely: the processes of other nodes stand elsewhere.

    Raises:
        ConfigError: names the option and the path.
    """
    if view.trainer.nnodes < 2:
        return
    named = [(model_key, view.model.path)] if view.model.path and Path(view.model.path).exists() else []
    named += [("data.train_files", path) for path in view.data.train_files if not is_remote(path)]
    named += [("data.val_files", path) for path in view.data.val_files if not is_remote(path)]
    for key, path in named:
        if not Path(path).expanduser().is_absolute():
            raise ConfigError(
                f"{key}={path} is relative, but trainer.nnodes={view.trainer.nnodes} nodes share no working folder",
                "name it absolutely, on a file system that all nodes see (KLEAR_MODEL, KLEAR_DATA in our recipes)",
            )


def check_reachable(address: str, origin: str, remedy: str) -> None:
    """Opens and closes a TCP connection.

    Raises:
        EnvironmentProblem: the address is malformed, or nothing answers within CONNECT_S.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise EnvironmentProblem(f"{origin}: {address!r} is no Ray address (host:port)", remedy)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError as error:
        raise EnvironmentProblem(
            f"no Ray cluster answers at {address} ({origin}): {error}", f"{remedy}; or correct the address"
        ) from error


def cluster_metadata(address: str, origin: str, remedy: str) -> dict[str, Any]:
    """Asks a cluster for its versions, in a process of its own because Ray's client has no time-out.

    Raises:
        EnvironmentProblem: no answer in TIMEOUT_S, or a refusal (authentication), with Ray's own words.
    """
    command = [sys.executable, "-c", _METADATA, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentProblem(
            f"{address} ({origin}) does not answer as a Ray cluster within {TIMEOUT_S:.0f} s", remedy
        ) from error
    for line in done.stdout.splitlines():
        if line.startswith("METADATA "):
            metadata: dict[str, Any] = json.loads(line.removeprefix("METADATA "))
            return metadata
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise EnvironmentProblem(
        f"the Ray cluster at {address} ({origin}) refuses: {last}", f"{remedy}; for a token error set RAY_AUTH_MODE"
    )


def check_versions(metadata: Mapping[str, Any], address: str, remedy: str) -> None:
    """Ray joins only clusters of the same Ray version and the same Python version.

    Raises:
        EnvironmentProblem: names both versions.
    """
    ours = {"Ray": version("ray"), "Python": platform.python_version()}
    theirs = {"Ray": str(metadata.get("ray_version")), "Python": str(metadata.get("python_version"))}
    if differing := [name for name in ours if ours[name] != theirs[name]]:
        what = " and ".join(f"{name} {theirs[name]} (here: {ours[name]})" for name in differing)
        raise EnvironmentProblem(
            f"the Ray cluster at {address} runs {what}",
            f"{remedy}; end it with its own `ray stop`; or match the versions",
        )


def check_auth_mode(environ: Mapping[str, str] = os.environ) -> None:
    """Ray 2.60 switches token authentication on by itself when a token file lies in the home, and later commands
    then fail.

    Raises:
        EnvironmentProblem: RAY_AUTH_MODE is unset or unknown while it matters.
    """
    mode = environ.get("RAY_AUTH_MODE")
    token = Path(
        environ.get("RAY_AUTH_TOKEN_PATH") or Path(environ.get("HOME") or "~").expanduser() / ".ray" / "auth_token"
    )
    if mode is None and token.exists():
        raise EnvironmentProblem(
            f"RAY_AUTH_MODE is not set and {token} exists: Ray would switch token authentication on silently",
            "export RAY_AUTH_MODE=disabled (one machine) or RAY_AUTH_MODE=token (a cluster that uses tokens)",
        )
    if mode is not None and mode.lower() not in ("disabled", "token", "k8s"):
        raise EnvironmentProblem(f"RAY_AUTH_MODE={mode} is unknown", "use disabled or token")
    if mode is not None and mode.lower() == "token" and not (environ.get("RAY_AUTH_TOKEN") or token.exists()):
        raise EnvironmentProblem(
            f"RAY_AUTH_MODE=token, but there is no token (RAY_AUTH_TOKEN, {token})", "ray get-auth-token --generate"
        )


def check_port_free(port: object, origin: str) -> None:
    """A port that this run will listen on is free.

    Raises:
        ConfigError: it is no port. EnvironmentProblem: it is in use, or not ours to take.
    """
    if not str(port).isdigit() or not 0 < int(str(port)) < 65536:
        raise ConfigError(f"{origin}={port} is no port", "give a number from 1024 to 65535")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", int(str(port))))
        except OSError as error:
            reason = "in use" if error.errno == errno.EADDRINUSE else f"not available ({error.strerror})"
            raise EnvironmentProblem(
                f"{origin}={port}: the port is {reason}", f"end the program that has it, or choose another {origin}"
            ) from error
