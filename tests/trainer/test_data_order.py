# SPDX-License-Identifier: Apache-2.0
"""The order of prompts over a resume: the trainer's own data loader and its own saving and loading, without a cluster.

A run of several epochs takes its prompts step by step and saves after each. For every step a fresh trainer loads that
checkpoint and goes on; it must take exactly what the uninterrupted run took.
"""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from verl.utils import hf_tokenizer

from klear_verl.launch.compose import compose
from klear_verl.trainer.config import KlearConfig
from klear_verl.trainer.klear_sync import KlearSyncTrainer
from tests.launch.preflight_samples import MATH_ROW, write_model, write_parquet

BATCH = 4
REFILLS = (4, 2, 1, 0, 3)
"""Prompts that the steps of a refilling run ask for beyond their first batch, in turn: any numbers do."""


class ActorFiles:
    """In the place of the actor's workers: writes the files that the trainer looks for, and loads nothing."""

    def save_checkpoint(self, folder, *_, **__):
        Path(folder).mkdir(parents=True)
        for kind in ("model", "optim", "extra_state"):
            (Path(folder) / f"{kind}_world_size_1_rank_0.pt").touch()

    def load_checkpoint(self, **_):
        """Nothing: the order of the data is not the actor's business."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The quickstart's recipe on a folder of this module's, and its tokenizer: what costs time, made once."""
    model = write_model(tmp_path_factory.mktemp("model"))
    made = compose("quickstart/math_rl", [f"actor_rollout_ref.model.path={model}"], kind="rl")
    return made, hf_tokenizer(str(model))


@pytest.fixture
def start(tmp_path, recipe):
    """Makes a trainer as a new process would: it has read its configuration and data, and loaded the last
    checkpoint."""

    def begin(prompts, *, shuffle, groups, workers=0):
        file = tmp_path / f"{prompts}.parquet"
        if not file.exists():
            rows = [{**MATH_ROW, "prompt": [{"role": "user", "content": f"prompt {n}"}]} for n in range(prompts)]
            write_parquet(file, rows)
        config = recipe[0].copy()
        config.data.update(
            train_files=str(file),
            val_files=str(file),
            train_batch_size=BATCH,
            shuffle=shuffle,
            dataloader_num_workers=workers,
            filter_overlong_prompts=False,
        )
        config.trainer.default_local_dir = str(tmp_path / "checkpoints")
        made = KlearSyncTrainer.__new__(KlearSyncTrainer)
        made.config = config
        made.klear = KlearConfig.model_validate({"groups": groups})
        made.tokenizer, made.processor = recipe[1], None
        made.parameter_sync_step, made.use_critic, made.trainer_mode = 1, False, "sync"
        made.replay_buffer = SimpleNamespace(submitted=lambda uids: None)
        made.checkpoint_callback = SimpleNamespace(on_save=lambda **_: None)
        made.actor_rollout_wg = ActorFiles()
        made._init_dataloader()
        made._load_checkpoint()
        return made

    return begin


def take_step(trainer, save):
    """The prompts of one step, in the order in which they are sent out."""
    trainer.global_steps += 1
    batches = [trainer._next_train_batch()]
    if trainer.klear.groups.mode == "refill" and (more := REFILLS[trainer.global_steps % len(REFILLS)]):
        batches.append(trainer._next_train_batch(more))
    if save:
        trainer._save_checkpoint()
    return [messages[0]["content"] for batch in batches for messages in batch["raw_prompt"]]


REFILL = {"mode": "refill"}
GENERATE_SIX = {"mode": "drop", "generate": 6}
CASES = {
    "drop, batches fill the epoch": (12, {"mode": "drop"}),
    "drop, a remainder is left at an epoch's end": (14, {"mode": "drop"}),
    "drop, more generated than trained": (18, GENERATE_SIX),
    "drop, more generated than trained, with a remainder": (20, GENERATE_SIX),
    "drop, an epoch is one step": (4, {"mode": "drop"}),
    "refill": (15, REFILL),
}


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in order"])
@pytest.mark.parametrize("case", CASES)
def test_from_every_step_a_resumed_run_takes_the_prompts_that_an_uninterrupted_one_takes(start, case, shuffle):
    prompts, groups = CASES[case]
    steps = 8
    whole = start(prompts, shuffle=shuffle, groups=groups)
    expected = [take_step(whole, save=False) for _ in range(steps)]
    taken = []
    for step in range(steps):
        resumed = start(prompts, shuffle=shuffle, groups=groups)
        assert resumed.global_steps == step
        taken.append(take_step(resumed, save=True))
        for following in range(step + 1, steps):  # an attempt that is killed before it saves once more
            assert take_step(resumed, save=False) == expected[following]
    assert taken == expected


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in order"])
def test_loader_processes_that_have_read_ahead_lose_nothing(start, shuffle):
    whole = start(14, shuffle=shuffle, groups=GENERATE_SIX, workers=2)
    expected = [take_step(whole, save=False) for _ in range(5)]
    assert [
        take_step(start(14, shuffle=shuffle, groups=GENERATE_SIX, workers=2), save=True) for _ in range(5)
    ] == expected


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "in order"])
@pytest.mark.parametrize("case", CASES)
def test_no_prompt_is_taken_twice_in_an_epoch_nor_left_out_but_for_an_incomplete_batch(start, case, shuffle):
    prompts, groups = CASES[case]
    whole = start(prompts, shuffle=shuffle, groups=groups)
    taken = [prompt for _ in range(9) for prompt in take_step(whole, save=False)]
    at_a_time = 1 if groups["mode"] == "refill" else groups.get("generate", BATCH)
    epoch = prompts - prompts % at_a_time
    for begin in range(0, len(taken), epoch):
        counts = Counter(taken[begin : begin + epoch])
        assert set(counts.values()) == {1}
        assert len(counts) == min(epoch, len(taken) - begin)


def test_shuffled_epochs_differ_and_follow_from_the_seed_alone(start):
    first, second = (start(12, shuffle=True, groups=REFILL) for _ in range(2))
    order = [take_step(first, save=False) for _ in range(6)]
    assert order == [take_step(second, save=False) for _ in range(6)]
    flat = [prompt for step in order for prompt in step]
    assert flat[:12] != flat[12:24]
    assert sorted(flat[:12]) == sorted(flat[12:24])


def test_a_kill_in_the_middle_of_a_step_takes_its_prompts_again(start):
    done = start(12, shuffle=True, groups=REFILL)
    take_step(done, save=True)
    killed = start(12, shuffle=True, groups=REFILL)
    begun = take_step(killed, save=False)
    assert take_step(start(12, shuffle=True, groups=REFILL), save=True) == begun
