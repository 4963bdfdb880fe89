# SPDX-License-Identifier: Apache-2.0
"""What a figure depends on: the machine, and how busy it was. Also the cores that a tree of processes may use."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil


def facts() -> dict[str, Any]:
    """Processor, cores that we may use, kernel and Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "root": os.geteuid() == 0,
        "load_1min": round(os.getloadavg()[0], 2),
    }


def stolen_s() -> float:
    """Processor seconds that the hypervisor gave to others so far."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def tree(pid: int) -> list[psutil.Process]:
    """The process and all its descendants that live now."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def pin(pid: int, cores: set[int]) -> None:
    """Restricts a process, its descendants, and all their threads to `cores`; what they start later inherits that."""
    for process in tree(pid):
        for thread in _threads(process.pid):
            try:
                os.sched_setaffinity(thread, cores)
            except ProcessLookupError:
                continue  # ended meanwhile


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def cores_in_use() -> list[int]:
    """The cores that this process may use, in order."""
    return sorted(os.sched_getaffinity(0))


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package in a process of its own."""
    return [sys.executable, "-m", f"judge_bench.{name}", *arguments]
