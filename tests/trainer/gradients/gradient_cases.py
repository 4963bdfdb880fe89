# SPDX-License-Identifier: Apache-2.0
"""What is compared: engines, mini-batches, ways to cut them, objectives, and the cases made of them.

A case is a name, so that tests, process groups and the benchmark speak of the same thing. The data of every case is
seeded; only the reference's model is needed to make it, since ratios are chosen rather than found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from tests.trainer.gradients.reference import Objective, Sample, log_probs

ROWS = 12
"""Rows of a mini-batch: `ppo_mini_batch_size` 4 times n = 3."""
GPPO = Objective()
LR = 1e-2
"""Of the cases that take the optimizer's steps."""
GROUP = 3
VOCABULARY = 96
EOS = 1
PAD_PROMPT = 127
"""verl's no-op sample: 127 prompt tokens and one response token."""


@dataclass(frozen=True)
class Engine:
    """How verl's worker is built. `attention` is transformers' name of it; `tied`: the input and output embeddings are
    one parameter."""

    world_size: int = 1
    strategy: str = "fsdp2"
    remove_padding: bool = True
    sequence_parallel: int = 1
    attention: str = "sdpa"
    dtype: str = "float64"
    device: str = "cpu"
    tied: bool = False

    @property
    def data_parallel(self) -> int:
        return self.world_size // self.sequence_parallel


@dataclass(frozen=True)
class Batch:
    """Which rows there are, in order: all of rank 0, then all of rank 1.

    `live` responses with tokens that train, then `dropped` responses that are masked throughout, then `padding` rows.
    `spread` is the standard deviation of log δ. `positives` says which live responses are correct: about "half" of
    them, those on "one_rank" of two, only the shortest ("alone" in its micro-batch where these have one row), "none".
    `contents` says what stands where nothing may matter: "plain", or other tokens, advantages, log-probabilities and
    entropies: "finite" or "non_finite" ones.
    """

    live: int = ROWS
    dropped: int = 0
    padding: int = 0
    spread: float = 0.5
    positives: str = "half"
    contents: str = "plain"
    mini_batches: int = 1


@dataclass(frozen=True)
class Case:
    """One comparison. `cut`: rows of a micro-batch ("1", "3", "all") or "dynamic" (by tokens). `mutant`: a known fault
    to plant (`mutants`). `update`: take the optimizer's real steps and return the weights in place of gradients."""

    batch: Batch = Batch()
    objective: Objective = GPPO
    engine: Engine = Engine()
    cut: str = "3"
    mutant: str = ""
    update: bool = False

    @property
    def name(self) -> str:
        """Its differences from the default, readable in a test's id and in the table."""
        parts = [f"{self.engine.strategy}x{self.engine.world_size}", f"micro={self.cut}"]
        for own, default in ((self.engine, Engine()), (self.batch, Batch()), (self.objective, GPPO)):
            for key, value in vars(own).items():
                if value != getattr(default, key) and key not in ("strategy", "world_size"):
                    parts.append(f"{key}={value}")
        parts += [self.mutant] if self.mutant else []
        return ",".join(parts + (["update"] if self.update else []))


def make_rows(batch: Batch, model: torch.nn.Module) -> list[Sample]:
    """The rows of a batch, mini-batch by mini-batch."""
    return [row for number in range(batch.mini_batches) for row in _mini_batch(batch, model, seed=number)]


def _mini_batch(batch: Batch, model: torch.nn.Module, seed: int) -> list[Sample]:
    generator = torch.Generator().manual_seed(seed)
    rows = [_response(model, batch.spread, f"group{seed}-{row // GROUP}", generator) for row in range(batch.live)]
    dropped = [_response(model, batch.spread, f"dropped{seed}", generator) for _ in range(batch.dropped)]
    for row in dropped:
        row.live = torch.zeros_like(row.live)
    padding = [_padding(generator) for _ in range(batch.padding)]
    for row in _positives(rows, batch.positives):
        row.positive = True
    everything = rows + dropped + padding
    for row in everything:
        row.mini_batch = seed
        if batch.contents != "plain":
            _change_what_is_masked(row, batch.contents, generator)
    return everything


def _response(model: torch.nn.Module, spread: float, uid: str, generator: torch.Generator) -> Sample:
    """Uneven lengths; masked tokens inside some responses and at the end of others, as tool calls leave them."""

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    length = number(3, 26)
    live = torch.rand(length, generator=generator) > 0.15
    live[number(2, length) :] &= number(0, 3) > 0
    live[0] = True
    sample = Sample(
        prompt=torch.randint(2, VOCABULARY, (number(2, 9),), generator=generator),
        response=torch.randint(2, VOCABULARY, (length,), generator=generator),
        live=live,
        old_log_prob=torch.zeros(length, dtype=torch.float64),
        advantages=torch.randn(1, generator=generator, dtype=torch.float64).expand(length).clone(),
        entropy=torch.rand(length, generator=generator, dtype=torch.float64),
        uid=uid,
    )
    log_ratio = spread * torch.randn(length, generator=generator, dtype=torch.float64)
    if spread > 0.1:
        log_ratio[0] = 3.0  # δ = 20: beyond c = 10, for dual clip
    with torch.no_grad():
        sample.old_log_prob = log_probs(model, sample) - log_ratio
    return sample


def _padding(generator: torch.Generator) -> Sample:
    one = torch.zeros(1, dtype=torch.float64)
    return Sample(
        prompt=torch.full((PAD_PROMPT,), EOS),
        response=torch.full((1,), EOS),
        live=torch.zeros(1, dtype=torch.bool),
        old_log_prob=-torch.rand(1, generator=generator, dtype=torch.float64),
        advantages=one,
        entropy=one.clone(),
        padding=True,
        uid="padding",
    )


def _positives(rows: list[Sample], which: str) -> list[Sample]:
    if which == "one_rank":
        return rows[: ROWS // 2 : 2]
    if which == "alone":
        return [min(rows, key=lambda row: int(row.live.sum()))]
    return rows[1::2] if which == "half" else []


def _change_what_is_masked(row: Sample, contents: str, generator: torch.Generator) -> None:
    """Puts other values where no live token can see them: log-probabilities, advantages and entropies of all masked
    tokens; tokens only after the last live one (before it they are the context of what trains)."""
    masked = ~row.live
    last = int(row.live.nonzero().max()) if row.live.any() else -1
    after = torch.arange(len(row.response)) > last
    row.response[after] = torch.randint(2, VOCABULARY, (int(after.sum()),), generator=generator)
    odd = [float("nan"), float("inf"), -float("inf")] if contents == "non_finite" else [-7.0, 3.0, -0.1]
    for value, values in zip(odd, (row.old_log_prob, row.advantages, row.entropy), strict=True):
        values[masked] = value
    if last < 0:
        row.prompt = torch.randint(2, VOCABULARY, row.prompt.shape, generator=generator)
        row.positive = True


# ---------------------------------------------------------------- the cases

OBJECTIVES = {
    "gppo": GPPO,
    "gppo, β1=0.75": Objective(beta1=0.75),
    "gppo, β1=β2=0, dual clip zero_grad": Objective(beta1=0.0, beta2=0.0, dual_clip="zero_grad"),
    "gppo, dual clip zero_grad": Objective(dual_clip="zero_grad"),
    "gppo, dual clip preserve": Objective(dual_clip="preserve"),
    "vanilla": Objective(mode="vanilla"),
    "cispo": Objective(mode="cispo"),
}
CUTS = ("1", "3", "all", "dynamic")
STRATEGIES = ("fsdp", "fsdp2")
PADDED = Batch(live=9, padding=3)
TWO_RANKS = Engine(world_size=2)
ULYSSES = Engine(world_size=2, sequence_parallel=2, attention="dense_packed")
"""One sequence over two ranks; the attention is the stand-in for flash-attention (`gradient_worker`)."""


def sharding(device: str = "cpu", dtype: str = "float64", world_sizes: tuple[int, ...] = (1, 2)) -> Iterator[Case]:
    """However the mini-batch is sharded, packed or padded, cut and filled up."""
    for world_size, strategy, remove_padding, cut, batch in itertools.product(
        world_sizes, STRATEGIES, (True, False), CUTS, (Batch(), PADDED)
    ):
        engine = Engine(world_size, strategy, remove_padding, device=device, dtype=dtype)
        yield Case(batch, engine=engine, cut=cut)


def ulysses() -> Iterator[Case]:
    """One sequence over two ranks."""
    for strategy, batch, cut in itertools.product(STRATEGIES, (Batch(), PADDED), CUTS):
        yield Case(batch, engine=replace(ULYSSES, strategy=strategy), cut=cut)


ULYSSES_WITHOUT_FLASH = Case(engine=replace(ULYSSES, attention="sdpa"))


def objectives(engine: Engine = TWO_RANKS) -> Iterator[Case]:
    """Every loss, with and without the language-model term, both ways to average."""
    for objective, alpha, agg in itertools.product(
        OBJECTIVES.values(), (0.0, 0.1), ("token-mean", "seq-mean-token-mean")
    ):
        yield Case(PADDED, replace(objective, alpha=alpha, agg=agg), engine, "dynamic")


def positives() -> Iterator[Case]:
    """Wherever the correct responses are."""
    for which, cut in itertools.product(("one_rank", "alone", "none"), CUTS):
        yield Case(Batch(positives=which), engine=TWO_RANKS, cut=cut)


def mostly_padding() -> Iterator[Case]:
    """One rank has nothing but padding, the other six live rows, or one."""
    for live, cut in itertools.product((6, 1), CUTS):
        yield Case(Batch(live=live, padding=ROWS - live), engine=TWO_RANKS, cut=cut)


def tied_embeddings() -> Iterator[Case]:
    """Input and output embeddings are one parameter."""
    for world_size, strategy in itertools.product((1, 2), STRATEGIES):
        yield Case(engine=Engine(world_size, strategy, tied=True))


def calm() -> Iterator[Case]:
    """No ratio leaves the band."""
    for objective in OBJECTIVES.values():
        yield Case(Batch(spread=0.02), objective, TWO_RANKS)


MASKED = Batch(live=7, dropped=2, padding=3)


def influence() -> Iterator[Case]:
    """The mini-batches whose masked tokens, masked responses and padding get other contents, or leave."""
    engines = (TWO_RANKS, replace(TWO_RANKS, remove_padding=False), replace(TWO_RANKS, strategy="fsdp"))
    for engine, cut in itertools.product(engines, ("3", "dynamic")):
        yield Case(MASKED, engine=engine, cut=cut)
    for objective in (OBJECTIVES["vanilla"], OBJECTIVES["cispo"], Objective(agg="seq-mean-token-mean")):
        yield Case(MASKED, objective, TWO_RANKS)


def with_contents(case: Case, contents: str) -> Case:
    """The same case with other contents where nothing may matter."""
    return replace(case, batch=replace(case.batch, contents=contents))


def without_masked_rows(case: Case) -> Case:
    """The same case with its wholly masked responses gone, and padding in their place."""
    batch = case.batch
    return replace(case, batch=replace(batch, dropped=0, padding=batch.padding + batch.dropped))


def variations(case: Case) -> Iterator[Case]:
    """A case of `influence`, and all that is compared with it."""
    yield from (case, without_masked_rows(case), with_contents(case, "finite"))
    if case.objective.mode == "gppo":
        yield with_contents(case, "non_finite")


def whole_steps() -> Iterator[Case]:
    """Two mini-batches that the trainer's layout spread over the ranks."""
    for world_size, strategy in itertools.product((1, 2), STRATEGIES):
        yield Case(replace(PADDED, mini_batches=2), engine=Engine(world_size, strategy))


def updates() -> Iterator[Case]:
    """The same, with the optimizer's steps. FSDP2 alone: FSDP1 takes gradient norms in float32 and refuses float64."""
    return (replace(case, update=True) for case in whole_steps() if case.engine.strategy == "fsdp2")


def precisions() -> Iterator[Case]:
    """What runs in earnest: float32, and bfloat16 over float32 weights."""
    for dtype, world_size, strategy in itertools.product(("float32", "bfloat16"), (1, 2), STRATEGIES):
        yield Case(PADDED, engine=Engine(world_size, strategy, dtype=dtype), cut="dynamic")


GRADIENT_FAULTS = {
    "lm_per_micro_batch": Case(),
    "lm_without_ranks": Case(engine=TWO_RANKS),
    "lm_unmasked": Case(),
    "policy_per_micro_batch": Case(),
    "padding_counts_as_responses": Case(PADDED, Objective(agg="seq-mean-token-mean")),
}
METRICS_FAULT = Case(mutant="metrics_per_micro_batch")


def faults() -> Iterator[Case]:
    """Each fault of `mutants`, planted where it must show."""
    return (replace(case, mutant=name) for name, case in GRADIENT_FAULTS.items())


def on_the_cpu() -> Iterator[Case]:
    """All cases that run anywhere."""
    yield from itertools.chain(sharding(), ulysses(), objectives(), positives(), mostly_padding(), tied_embeddings())
    yield from itertools.chain(calm(), whole_steps(), updates(), precisions(), faults())
    yield from (ULYSSES_WITHOUT_FLASH, METRICS_FAULT)
    for case in influence():
        yield from variations(case)


def sample() -> Iterator[Case]:
    """Some of every kind, for `make test`: in steps that bring every value of every choice."""
    steps = {sharding: 9, ulysses: 5, positives: 5, mostly_padding: 3, tied_embeddings: 3, whole_steps: 3}
    for kind, step in (steps | {precisions: 3, calm: 5, updates: 2, faults: 1}).items():
        yield from itertools.islice(kind(), 0, None, step)
    yield from (ULYSSES_WITHOUT_FLASH, METRICS_FAULT)
    for case in objectives():
        if case.objective.agg == "token-mean" and case.objective.dual_clip != "preserve":
            yield case
    for case in itertools.islice(influence(), 0, None, 4):
        yield from variations(case)


def on_a_gpu() -> Iterator[Case]:
    """The same on one GPU, in the precisions that it trains in."""
    for dtype in ("float32", "bfloat16"):
        yield from sharding("cuda", dtype, world_sizes=(1,))
        yield from objectives(Engine(device="cuda", dtype=dtype))
