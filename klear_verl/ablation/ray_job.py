# SPDX-License-Identifier: Apache-2.0
"""A command as a job of a Ray cluster, as if it ran here: its output appears here, this process ends when the job does,
and ending this process ends the job.

Run as `python -m klear_verl.ablation.ray_job ADDRESS COMMAND…`. The cluster's head must see this directory and this
Python at the same paths. The job's driver starts on the head node; what it starts goes where Ray puts it.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Sequence

from ray.job_submission import JobStatus, JobSubmissionClient

from klear_verl.errors import EnvironmentProblem
from klear_verl.utils.signals import stop_as_interrupt

PASSED_ON = ("KLEAR_", "VERL_", "RAY_AUTH_MODE")
"""Beginnings of the names of variables that the job gets from here."""


def main(argv: Sequence[str]) -> int:
    """Runs the job to its end: 0 if the command ended with 0, 1 if not, 130 if it was stopped from here.

    Raises:
        EnvironmentProblem: no cluster takes jobs at the address.
    """
    address, *command = argv
    try:
        client = JobSubmissionClient(address)
        job = client.submit_job(
            entrypoint=f"cd {shlex.quote(os.getcwd())} && exec {shlex.join(command)}",
            runtime_env={"env_vars": _environment()},
        )
    except (OSError, RuntimeError) as error:  # what requests and the client raise for all their troubles
        raise EnvironmentProblem(
            f"no Ray cluster takes jobs at {address}: {error}",
            "give the dashboard's address, http://HEAD:8265; a cluster that has just started takes a moment",
        ) from error
    try:
        with stop_as_interrupt():
            asyncio.run(_show_output(client, job))
            status = _wait(client, job)
    except KeyboardInterrupt:
        client.stop_job(job)
        _wait(client, job)
        return 130
    return 0 if status == JobStatus.SUCCEEDED else 1


def _environment() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    # A run ends cleanly when it is asked to, but not within Ray's 3 seconds.
    return {**ours, "RAY_JOB_STOP_WAIT_TIME_S": "30"}


async def _show_output(client: JobSubmissionClient, job: str) -> None:
    async for text in client.tail_job_logs(job):
        print(text, end="", flush=True)


def _wait(client: JobSubmissionClient, job: str) -> JobStatus:
    while not (status := client.get_job_status(job)).is_terminal():
        time.sleep(0.5)
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EnvironmentProblem as problem:
        sys.exit(f"klear: {problem}")
