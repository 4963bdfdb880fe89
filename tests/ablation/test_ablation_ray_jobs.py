# SPDX-License-Identifier: Apache-2.0
"""Runs as jobs of a real Ray cluster, started here and ended with the tests."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from klear_verl.ablation.ablate_cli import run_grid
from klear_verl.cpu.environment import ALWAYS
from tests.ablation.ablation_samples import calls, sample_arms, sample_spec, train_command
from tests.running import running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

JOB = [sys.executable, "-m", "klear_verl.ablation.ray_job"]


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def cluster():
    """The dashboard's address of a cluster of our own, in a folder whose name is short enough for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix="klear-", dir="/tmp"))
    # Ray's own choices may be taken by another cluster of this machine.
    named = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
    ports = dict(zip(named, free_ports(len(named)), strict=True))
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--num-cpus=2"]
    command += [*(f"--{name}={port}" for name, port in ports.items()), f"--temp-dir={folder}"]
    environment = {**os.environ, **ALWAYS, "RAY_raylet_start_wait_time_s": "240"}
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    try:
        with running(list(map(str, command)), folder / "head.txt", **environment) as head:
            while subprocess.run([*JOB, address, "true"], env=environment).returncode != 0:
                assert head.process.poll() is None, head.output
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def our_environment(monkeypatch):
    for name, value in ALWAYS.items():
        monkeypatch.setenv(name, value)


def test_a_job_speaks_and_ends_as_the_command_does(cluster, tmp_path):
    command = [*JOB, cluster, sys.executable, "-c", "import os; print('in', os.getcwd()); raise SystemExit(3)"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=200)
    assert f"in {tmp_path}" in done.stdout
    assert done.returncode == 1


def test_a_grid_of_jobs_is_a_grid(cluster, tmp_path):
    (tmp_path / "out").mkdir()
    command = [*JOB, cluster, *train_command(tmp_path)]
    assert run_grid(sample_spec(seeds=[0]), sample_arms(), tmp_path / "out", 2, command) == 0
    assert len(calls(tmp_path / "out")) == 2


def test_whoever_ends_the_command_ends_the_job(cluster, tmp_path):
    script = f"echo started; trap 'touch {tmp_path}/stopped; exit' TERM; while true; do sleep 0.1; done"
    job = subprocess.Popen([*JOB, cluster, "/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert any(line.startswith("started") for line in job.stdout)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=60) == 130
    assert (tmp_path / "stopped").exists()


def test_an_address_without_a_cluster_is_told(tmp_path):
    done = subprocess.run([*JOB, "http://127.0.0.1:1", "true"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "klear: no Ray cluster takes jobs at http://127.0.0.1:1" in done.stderr
