# SPDX-License-Identifier: Apache-2.0
"""Which groups train."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_verl.trainer.config import GroupsConfig, OverlongConfig
from klear_verl.trainer.rollouts import group_metrics, make_group, select
from tests.trainer.rollout_samples import group, response

DROP, KEEP = GroupsConfig(), GroupsConfig(mode="keep")
MASK = OverlongConfig()


@pytest.mark.parametrize("scores", [(1.0, 1.0, 1.0), (-1.0, -1.0), (0.25, 0.25, 0.25)])
def test_a_group_with_one_score_throughout_has_no_signal(scores):
    assert group(*scores).state == "no_signal"


def test_soft_scores_that_differ_are_signal_even_where_no_answer_is_right():
    # The released code filters on acc, and throws this group away.
    assert group(0.25, 0.5).state == "signal"
    assert group(0.25, 0.5, groups=GroupsConfig(criterion="acc")).state == "no_signal"


def test_penalties_alone_are_no_signal_unless_asked_for():
    wrong = [response(-1.0, session=0), response(-1.0, session=1, reward=-2.0)]
    assert make_group(wrong, DROP, MASK).state == "no_signal"
    assert make_group(wrong, GroupsConfig(criterion="reward"), MASK).state == "signal"


def test_masked_responses_do_not_count_for_the_signal():
    cut = [response(1.0, session=0, overlong=1.0), response(-1.0, session=1), response(-1.0, session=2)]
    made = make_group(cut, DROP, MASK)
    assert (made.state, [item.session for item in made.live]) == ("no_signal", [1, 2])


@pytest.mark.parametrize("alive", [0, 1])
def test_a_group_with_fewer_than_two_live_responses_never_trains(alive):
    cut = [response(float(n), session=n, overlong=float(n >= alive)) for n in range(4)]
    made = make_group(cut, KEEP, MASK)
    assert made.state == "too_few_live"
    assert select([made], KEEP, 8)["too_few_live"] == [made]


def test_one_live_response_is_enough_where_responses_are_not_compared():
    alone = [response(1.0, session=0), response(-1.0, session=1, overlong=1.0)]
    made = make_group(alone, KEEP, MASK, least_live=1)
    assert (made.state, select([made], KEEP, 8)["trained"]) == ("no_signal", [made])
    assert make_group(alone[1:], KEEP, MASK, least_live=1).state == "too_few_live"


def test_mode_keep_trains_on_groups_without_signal_too():
    made = [group(1.0, 1.0, position=0), group(1.0, -1.0, position=1)]
    assert [len(select(made, mode, 8)["trained"]) for mode in (DROP, KEEP)] == [1, 2]


def test_the_first_prompts_train_whichever_finished_first():
    made = [group(1.0, -1.0, position=position) for position in (3, 1, 0, 2)]
    selection = select(made, DROP, 3)
    assert [item.position for item in selection["trained"]] == [0, 1, 2]
    assert [item.position for item in selection["surplus"]] == [3]


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=0, max_size=4), max_size=12), st.integers(1, 6))
def test_every_group_has_exactly_one_fate_and_the_batch_is_never_too_large(scores, batch_size):
    made = [group(*values, position=position) for position, values in enumerate(scores) if values]
    selection = select(made, DROP, batch_size)
    assert sorted(item.position for fate in selection.values() for item in fate) == [item.position for item in made]
    assert len(selection["trained"]) == min(batch_size, sum(len(set(values)) > 1 for values in scores))


def test_waste_counts_all_that_was_generated_and_does_not_train():
    cut = make_group([response(1.0, session=0, position=2, overlong=1.0, tokens=100), *_pair(2)], DROP, MASK)
    selection = select([group(1.0, 1.0, position=0), group(1.0, -1.0, position=1), cut], DROP, 8)
    metrics = group_metrics(selection, MASK)
    # 7 responses; 2 + 2 train.
    assert metrics["klear/groups/wasted_share"] == pytest.approx(3 / 7)
    assert [metrics[f"klear/groups/{name}"] for name in ("generated", "trained", "no_signal")] == [3, 2, 1]
    assert (metrics["klear/masked/overlong"], metrics["klear/masked/tokens"]) == (1, 100)


def _pair(position):
    return response(1.0, session=1, position=position), response(-1.0, session=2, position=position)
