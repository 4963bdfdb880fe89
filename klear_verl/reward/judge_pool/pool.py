# SPDX-License-Identifier: Apache-2.0
"""Keeps judge actors alive on the nodes of a cluster, as one client sees them.

Every client keeps its own pool, and no client is special: actors have names, so that the first client to ask creates
one and the others find it. An actor dies with the process that created it, and any other client creates it anew; that
is also how a crashed actor comes back, and why nothing is left when the job ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from klear_verl.errors import EnvironmentProblem, KlearError
from klear_verl.judge import JudgeConfig
from klear_verl.reward.judge_pool.actor import JudgeActor
from klear_verl.reward.judge_pool.config import JudgePoolConfig, Placement, plan
from klear_verl.reward.judge_pool.messages import Hello, RunAnswer
from klear_verl.reward.judge_pool.worker import JudgeWorker, Submission

logger = logging.getLogger(__name__)

_MAX_CALLS = 10_000
"""Calls to one actor at once: a few per client, so that none ever waits in Ray."""
_MAX_BACKOFF_S = 60.0


class JudgePool:
    """The live judge actors. Used from one event loop, on which `maintain` runs all the while.

    Args:
        on_change: called after every look at the cluster and every start of an actor, successful or not.
        on_answer: as `JudgeWorker`'s.
        on_lost: called when an actor is dropped, with the reason; what was sent there is in its `runs`.
    """

    def __init__(
        self,
        judge: JudgeConfig,
        pool: JudgePoolConfig,
        on_change: Callable[[], None],
        on_answer: Callable[[Submission | None, RunAnswer], None],
        on_lost: Callable[[JudgeWorker, str], None],
    ):
        self.workers: dict[str, JudgeWorker] = {}
        self.empty_since: float | None = time.monotonic()
        """Since when there has been no actor; None while there is one."""
        self._judge = judge
        self._pool = pool
        self._on_change, self._on_answer, self._on_lost = on_change, on_answer, on_lost
        self._client = uuid.uuid4().hex
        self._prefix = _prefix(judge, pool)
        self._actor_class = ray.remote(JudgeActor)
        self._refresh_now = asyncio.Event()
        self._starting: dict[str, Placement] = {}
        self._faults: dict[str, KlearError] = {}
        self._failed_starts: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    async def maintain(self) -> None:
        """Starts missing actors and drops dead ones, until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._refresh(tasks)
                # Not wait_for, which in Python 3.11 can swallow the cancellation that ends this loop.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pool.refresh_s):
                        await self._refresh_now.wait()
                self._refresh_now.clear()

    def _drop(self, worker: JudgeWorker, reason: str) -> None:
        """Drops an actor, and has another one started in its place."""
        if self.workers.get(worker.name) is not worker:
            return
        logger.warning("judge actor on %s is lost: %s", worker.placement.place, reason)
        del self.workers[worker.name]
        self.empty_since = None if self.workers else time.monotonic()
        worker.close()
        self._on_lost(worker, reason)
        self._refresh_now.set()

    def why_empty(self) -> KlearError:
        """Why there is no actor."""
        if self._faults and not self._starting:
            return next(iter(self._faults.values()))
        waiting = ", ".join(f"{p.place} for {p.slots} CPUs" for p in self._starting.values())
        return EnvironmentProblem(
            f"no judge actor runs on this Ray cluster; waiting: {waiting or 'for a node with CPUs'}",
            "`ray status` shows who holds the CPUs; lower reward.reward_kwargs.klear.judge_pool.cpus_per_node, "
            "or set judge_pool.nodes=all, or judge_pool.mode=local",
        )

    @property
    def all_failed(self) -> bool:
        """Whether there is no actor, none is starting, and at least one has failed to start its judge."""
        return bool(self._faults) and not self._starting and not self.workers

    async def _refresh(self, tasks: asyncio.TaskGroup) -> None:
        nodes = await asyncio.to_thread(ray.nodes)
        alive = {node["NodeID"] for node in nodes if node["Alive"]}
        for worker in list(self.workers.values()):
            if worker.placement.node_id not in alive:
                self._drop(worker, "its node has left")
            else:
                worker.probe()
        now = time.monotonic()
        for placement in plan(nodes, self._pool):
            name = f"{self._prefix}-{placement.node_id}-{placement.index}"
            known = name in self.workers or name in self._starting
            if not known and now >= self._not_before.get(name, 0.0):
                self._starting[name] = placement
                tasks.create_task(self._start(name, placement))
        self._on_change()

    async def _start(self, name: str, placement: Placement) -> None:
        try:
            actor = await asyncio.to_thread(self._find_or_create, name, placement)
            async with asyncio.timeout(self._pool.start_timeout_s):
                hello: Hello = await actor.hello.remote()
        except TimeoutError:
            self._failed(name, placement, f"no CPUs, or no answer, for {self._pool.start_timeout_s:.0f} s")
        except RayTaskError as error:
            fault = error.cause
            what, remedy = (fault.what, fault.remedy) if isinstance(fault, KlearError) else (repr(fault), "")
            self._faults[name] = EnvironmentProblem(f"{placement.place}: {what}", remedy)
            await asyncio.to_thread(ray.kill, actor)  # it holds CPUs
            self._failed(name, placement, str(self._faults[name]))
        except (RayError, ValueError) as error:  # ValueError: the name was taken or freed meanwhile
            self._failed(name, placement, str(error))
        else:
            self._add(JudgeWorker(name, placement, actor, hello, self._client, self._pool, self._on_answer, self._drop))
        finally:
            del self._starting[name]
            self._on_change()

    def _find_or_create(self, name: str, placement: Placement) -> Any:
        cpus = placement.slots
        if self._pool.cpus_per_node == "auto":
            # What others hold is not waited for. verl asks Ray in the same way.
            free = ray._private.state.available_resources_per_node().get(placement.node_id, {})
            cpus = min(cpus, int(free.get("CPU", 0)))
        options = self._actor_class.options(
            name=name,
            get_if_exists=True,
            num_cpus=cpus,
            scheduling_strategy=NodeAffinitySchedulingStrategy(placement.node_id, soft=False),
            max_concurrency=_MAX_CALLS,
        )
        return options.remote(self._judge, placement, self._pool.problem_cache_mib)

    def _failed(self, name: str, placement: Placement, reason: str) -> None:
        tries = self._failed_starts[name] = self._failed_starts.get(name, 0) + 1
        self._not_before[name] = time.monotonic() + min(_MAX_BACKOFF_S, 2.0 ** (tries - 1))
        logger.warning("judge actor on %s did not start: %s", placement.place, reason)

    def _add(self, worker: JudgeWorker) -> None:
        self._failed_starts.pop(worker.name, None)
        self._faults.pop(worker.name, None)
        first = next(iter(self.workers.values()), None)
        if first is not None and set(first.layers) != set(worker.layers):
            missing = sorted(set(first.layers) - set(worker.layers))
            extra = sorted(set(worker.layers) - set(first.layers))
            logger.warning(
                "isolation differs between nodes: %s lacks %s and adds %s, against %s",
                worker.placement.place,
                ", ".join(missing) or "nothing",
                ", ".join(extra) or "nothing",
                first.placement.place,
            )
        self.workers[worker.name] = worker
        self.empty_since = None


def _prefix(judge: JudgeConfig, pool: JudgePoolConfig) -> str:
    """Names of this job's actors with this configuration: namespaces can be shared between jobs."""
    settings = judge.model_dump_json() + pool.model_dump_json(include={"slots_per_process", "cpus_per_node"})
    digest = hashlib.blake2b(settings.encode(), digest_size=6).hexdigest()
    return f"klear-judge-{ray.get_runtime_context().get_job_id()}-{digest}"
