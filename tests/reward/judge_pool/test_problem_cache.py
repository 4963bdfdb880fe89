# SPDX-License-Identifier: Apache-2.0
"""Packing a problem for an actor, and keeping it there."""

from klear_verl.judge.config import JudgeConfig
from klear_verl.judge.problem import Problem, StdioTest, draw_subset
from klear_verl.reward.judge_pool.messages import ProblemCache, ProblemPacker


def problem(tests=20, size=1, name="p"):
    return Problem(id=name, tests=tuple(StdioTest(input="x" * size, output=str(n)) for n in range(tests)))


def test_unpacking_gives_the_problem_with_the_tests_that_count():
    original = problem()
    packed = ProblemPacker(JudgeConfig(max_tests=16, seed=3), 1).pack(original)
    cache = ProblemCache(1)
    cache.put(packed.key, packed.blob)
    assert packed.tests == 16
    assert cache.get(packed.key) == original.model_copy(update={"tests": draw_subset(original.tests, 16, "p", 3)})


def test_a_problems_own_number_of_tests_comes_first():
    assert ProblemPacker(JudgeConfig(max_tests=16), 1).pack(problem().model_copy(update={"max_tests": 5})).tests == 5


def test_drawing_again_from_what_was_drawn_changes_nothing():
    drawn = draw_subset(problem().tests, 16, "p", 3)
    assert draw_subset(drawn, 16, "p", 3) == drawn


def test_equal_problems_have_one_key_and_different_ones_two():
    packer = ProblemPacker(JudgeConfig(), 1)
    keys = [packer.pack(one).key for one in (problem(), problem(), problem(tests=19))]
    assert keys[0] == keys[1] != keys[2]


def test_an_object_is_packed_once():
    packer, one = ProblemPacker(JudgeConfig(), 1), problem()
    assert packer.pack(one) is packer.pack(one)


def test_lone_surrogates_survive_the_way():
    packed = ProblemPacker(JudgeConfig(), 1).pack(Problem(id="p", tests=(StdioTest(input="\ud800", output=""),)))
    cache = ProblemCache(1)
    cache.put(packed.key, packed.blob)
    kept = cache.get(packed.key)
    assert kept is not None and kept.tests[0].input == "\ud800"


def test_the_cache_keeps_to_its_size_and_what_was_used_last():
    packer, cache = ProblemPacker(JudgeConfig(), 10), ProblemCache(capacity_mib=1)
    packed = [packer.pack(problem(tests=4, size=100_000, name=name)) for name in "abc"]
    for one in packed[:2]:
        cache.put(one.key, one.blob)
    cache.get(packed[0].key)
    cache.put(packed[2].key, packed[2].blob)  # 0.4 MB each: the third doesn't fit beside two others
    assert [cache.get(one.key) is not None for one in packed] == [True, False, True]


def test_a_problem_larger_than_the_cache_is_kept_while_it_is_the_last():
    packed = ProblemPacker(JudgeConfig(), 1).pack(problem(tests=4, size=1_000_000))
    cache = ProblemCache(capacity_mib=1)
    cache.put(packed.key, packed.blob)
    assert cache.get(packed.key) is not None


def test_a_problem_put_again_does_not_count_twice():
    packer, cache = ProblemPacker(JudgeConfig(), 10), ProblemCache(capacity_mib=1)
    packed = [packer.pack(problem(tests=4, size=100_000, name=name)) for name in "ab"]
    for one in [*packed, *packed, *packed]:
        cache.put(one.key, one.blob)
    assert all(cache.get(one.key) is not None for one in packed)
