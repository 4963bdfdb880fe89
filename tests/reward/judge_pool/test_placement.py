# SPDX-License-Identifier: Apache-2.0
"""How many judge actors go where, as a function of the nodes alone."""

import pytest

from klear_verl.errors import ConfigError
from klear_verl.reward.config import reward_config
from klear_verl.reward.judge_pool.config import JudgePoolConfig, plan


def node(name, cpus, alive=True, **resources):
    return {
        "NodeID": name,
        "NodeManagerHostname": f"host-{name}",
        "Alive": alive,
        "Resources": {"CPU": float(cpus), **resources},
    }


def slots(cluster, **pool):
    found = {}
    for placement in plan(cluster, JudgePoolConfig(**{"slots_per_process": 16, **pool})):
        found.setdefault(placement.node_id, []).append(placement.slots)
    return found


def test_auto_takes_half_of_a_node_with_gpus_and_all_but_one_cpu_of_any_other():
    assert slots([node("a", 12, GPU=8.0), node("b", 8)], nodes="all") == {"a": [6], "b": [7]}


@pytest.mark.parametrize(("wanted", "found"), [(4, 4), (100, 12), (0.25, 3), (0.01, 1)])
def test_a_number_of_cpus_or_a_share_of_them_but_never_more_than_there_are_nor_none(wanted, found):
    assert slots([node("a", 12)], cpus_per_node=wanted) == {"a": [found]}


def test_many_slots_are_split_evenly_over_processes():
    assert slots([node("a", 64)], cpus_per_node=40) == {"a": [14, 13, 13]}


def test_every_actor_knows_the_slots_of_its_whole_node():
    assert {placement.node_slots for placement in plan([node("a", 64)], JudgePoolConfig(cpus_per_node=40))} == {40}


def test_dead_nodes_and_nodes_without_cpus_get_no_actor():
    assert slots([node("a", 4, alive=False), node("b", 0), node("c", 4)], cpus_per_node=2) == {"c": [2]}


def test_cpu_only_leaves_nodes_with_accelerators_alone():
    nodes = [node("a", 64, GPU=8.0), node("b", 8, NPU=1.0), node("c", 4, GPU=0.0)]
    assert list(slots(nodes, nodes="cpu_only", cpus_per_node=2)) == ["c"]


@pytest.mark.parametrize(("cpus", "chosen"), [(63, ["a", "b"]), (64, ["b"])])
def test_auto_leaves_them_alone_where_the_others_have_half_of_all_cpus(cpus, chosen):
    assert list(slots([node("a", 64, GPU=8.0), node("b", cpus)], cpus_per_node=2)) == chosen


@pytest.mark.parametrize("value", [0, -1, 2.5, "some"])
def test_no_cpus_or_a_broken_number_of_them_is_refused(value):
    with pytest.raises(ConfigError, match=r"reward\.reward_kwargs\.klear\.judge_pool\.cpus_per_node"):
        reward_config({"judge_pool": {"cpus_per_node": value}})


def test_an_unknown_key_is_named_in_full_with_the_nearest():
    with pytest.raises(ConfigError, match=r"klear\.judge_pool\.retrys: unknown key; did you mean 'retries'"):
        reward_config({"judge_pool": {"retrys": 1}})
