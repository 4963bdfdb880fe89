# SPDX-License-Identifier: Apache-2.0
"""SFT's checkpoints, and the order of its data over a resume, with verl's handler, sampler and loader on one rank."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from klear_verl.errors import DataError, EnvironmentProblem
from klear_verl.trainer import checkpoints
from klear_verl.trainer.sft_checkpoints import KlearSFTTrainer

ROWS, BATCH, EPOCHS = 11, 3, 3
STEPS_PER_EPOCH = ROWS // BATCH


class Engine:
    """In the place of verl's engine: writes the files of one rank."""

    engine_config = SimpleNamespace(strategy="fsdp")
    checkpoint_config = SimpleNamespace(save_contents=["model", "optimizer", "extra"])

    def __init__(self, kinds=("model", "optim", "extra_state")):
        self.kinds = kinds
        self.loaded = None

    def is_mp_src_rank_with_outputs(self):
        return True

    def get_data_parallel_rank(self):
        return 0

    def get_data_parallel_size(self):
        return 1

    def save_checkpoint(self, local_path, global_step, max_ckpt_to_keep):
        assert max_ckpt_to_keep is None  # verl would remove folders that have been renamed since
        Path(local_path).mkdir(parents=True)
        for kind in self.kinds:
            (Path(local_path) / f"{kind}_world_size_1_rank_0.pt").touch()

    def load_checkpoint(self, local_path):
        self.loaded = Path(local_path).name


@pytest.fixture(autouse=True, scope="module")
def process_group(tmp_path_factory):
    store = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


class Run:
    """One attempt, with the trainer's own loader and handler: `steps` are the batches that it trains on."""

    def __init__(self, folder, keep=None, workers=0, engine=None, rows=ROWS):
        self.engine = engine or Engine()
        made = KlearSFTTrainer.__new__(KlearSFTTrainer)
        data = {"train_batch_size": BATCH, "num_workers": workers, "pad_mode": "no_padding"}
        trainer = {"default_local_dir": str(folder), "max_ckpt_to_keep": keep}
        made.config = OmegaConf.create({"data": data, "trainer": trainer, "model": {}})
        made.engine = self.engine
        made.train_dataset = [{"row": torch.tensor([row])} for row in range(rows)]
        made.val_dataset = None
        made._build_dataloader()
        made._build_ckpt_handler()
        self.loader, self.sampler, self.handler = made.train_dataloader, made.train_sampler, made.ckpt_handler
        self.step = self.handler.load_checkpoint()

    def steps(self):
        for epoch in range(self.step // STEPS_PER_EPOCH, EPOCHS):
            self.sampler.set_epoch(epoch)
            for batch in self.loader:
                self.step += 1
                yield batch["row"].values().tolist()


def resumed_at(folder, step, expected, workers):
    """Checks an attempt from the checkpoint of `step`, and leaves one of the step after it."""
    run = Run(folder, workers=workers)
    assert run.step == step
    taken = []
    for batch in run.steps():
        taken.append(batch)
        if len(taken) == 1:
            run.handler.save_checkpoint(run.step)
    assert taken == expected[step:]


def test_from_every_step_the_end_of_an_epoch_included_a_resumed_run_takes_the_rows_of_an_uninterrupted_one(tmp_path):
    expected = list(Run(tmp_path).steps())
    assert len(expected) == EPOCHS * STEPS_PER_EPOCH
    for step in range(len(expected)):
        resumed_at(tmp_path, step, expected, workers=0)


def test_loader_processes_that_have_read_ahead_lose_nothing(tmp_path):
    run = Run(tmp_path, workers=2)
    expected = []
    for batch in run.steps():
        expected.append(batch)
        if run.step == STEPS_PER_EPOCH - 1:
            run.handler.save_checkpoint(run.step)
    for step in (STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH):
        resumed_at(tmp_path, step, expected, workers=2)


def test_reading_data_leaves_the_random_state_of_the_model_alone(tmp_path):
    before = torch.get_rng_state()
    list(Run(tmp_path).steps())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_saved_checkpoint_is_in_its_place_and_old_ones_are_gone(tmp_path):
    run = Run(tmp_path, keep=2)
    for _ in run.steps():
        run.handler.save_checkpoint(run.step)
    assert checkpoints.saved_steps(tmp_path) == [8, 9]
    assert (tmp_path / checkpoints.TRACKER).read_text() == "9"
    assert sorted(path.name for path in (tmp_path / "global_step_9").iterdir()) == [
        "data.json",
        "data_0.pt",
        "extra_state_world_size_1_rank_0.pt",
        "model_world_size_1_rank_0.pt",
        "optim_world_size_1_rank_0.pt",
    ]
    assert not (tmp_path / checkpoints.INCOMPLETE).exists()
    assert run.handler.default_local_dir == str(tmp_path)


def test_a_checkpoint_that_lacks_files_is_not_committed_and_the_last_one_is_gone_on_from(tmp_path):
    first = Run(tmp_path)
    next(first.steps())
    first.handler.save_checkpoint(first.step)
    broken = Run(tmp_path, engine=Engine(kinds=("model", "optim")))
    next(broken.steps())
    with pytest.raises(EnvironmentProblem, match=r"lacks 1 files, the first is extra_state_world_size_1_rank_0\.pt"):
        broken.handler.save_checkpoint(broken.step)
    again = Run(tmp_path)
    assert (again.step, again.engine.loaded) == (1, "global_step_1")
    assert not (tmp_path / checkpoints.INCOMPLETE).exists()


@pytest.mark.parametrize("step", [1, STEPS_PER_EPOCH], ids=["in an epoch", "at its end"])
def test_a_checkpoint_of_other_data_is_refused(tmp_path, step):
    run = Run(tmp_path)
    for _ in run.steps():
        if run.step == step:
            run.handler.save_checkpoint(run.step)
    with pytest.raises(
        DataError, match=rf"global_step_{step} was saved with other data: 11 rows then, 12 now"
    ) as caught:
        Run(tmp_path, rows=ROWS + 1)
    assert "; model.path=" in caught.value.remedy  # SFT's own option
