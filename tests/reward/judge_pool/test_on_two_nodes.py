# SPDX-License-Identifier: Apache-2.0
"""The judge on a real Ray cluster whose nodes come and go (Ray nodes of this machine, each with its own processes)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

from klear_verl.judge import JudgeConfig, Verdict  # noqa: E402
from klear_verl.reward.judge_pool.client import RayJudge  # noqa: E402
from klear_verl.reward.judge_pool.config import JudgePoolConfig  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def cluster(ray_environment):
    """A head without CPUs and two nodes with two each."""
    made = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 * 2**20}
    )
    made.workers = [made.add_node(num_cpus=2, object_store_memory=100 * 2**20) for _ in range(2)]
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def judge(cluster):
    with RayJudge(JudgeConfig(), JudgePoolConfig(cpus_per_node=2, refresh_s=0.5, start_timeout_s=15)) as client:
        _wait_for(lambda: len(client._pool.workers) == 2)
        yield client


def _wait_for(condition, patience_s=200.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.05)


def _in_the_background(client, problem, sources):
    threads = ThreadPoolExecutor(len(sources))
    futures = [threads.submit(client.run, problem, source) for source in sources]
    threads.shutdown(wait=False)
    return futures


def test_both_nodes_work_and_a_lost_one_loses_nothing_and_a_new_one_joins_in(cluster, judge, double, program):
    busy = set()
    waiting = _in_the_background(judge, double, [program(right=n % 5, sleep_s=0.4, note=str(n)) for n in range(24)])
    while judge.counts.judged < 4:
        busy |= {worker.placement.node_id for worker in judge._pool.workers.values() if worker.runs}
        time.sleep(0.02)
    assert len(busy) == 2
    cluster.remove_node(cluster.workers.pop(), allow_graceful=False)
    found = [future.result(timeout=120) for future in waiting]
    assert [one.pass_rate for one in found] == [(n % 5) / 4 for n in range(24)]
    assert judge.counts.judged == 24
    assert judge.counts.repeated == sum(one.retries for one in found) >= 1
    assert max(one.retries for one in found) == 1
    assert len(judge._pool.workers) == 1
    cluster.workers.append(cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20))
    _wait_for(lambda: len(judge._pool.workers) == 2)


def test_with_no_node_left_a_solution_is_ungraded_after_the_time_given_and_says_why(cluster, judge, double, program):
    for node in cluster.workers:
        cluster.remove_node(node, allow_graceful=False)
    _wait_for(lambda: not judge._pool.workers)
    found = judge.run(double, program())
    assert (found.pass_rate, set(found.verdicts)) == (None, {Verdict.IE})
    assert "no judge actor runs on this Ray cluster" in found.detail
