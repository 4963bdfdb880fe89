# SPDX-License-Identifier: Apache-2.0
"""The replay buffer of the klear trainers: collects all responses of a step and, in mode "refill", asks for more
prompts until enough groups have signal.

verl's own dynamic sampling has no bound on what one step may generate (`max_num_gen_batches` is ignored), knows no
masked responses, and judges a group by one value of `reward_extra_info`; hence this one, on verl's base class and its
TransferQueue protocol. Generation that is not needed any more is waited for, as in verl: the weights are about to
change, and a synchronous trainer trains on no response of an old policy.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from klear_verl.trainer.config import GroupsConfig, OverlongConfig
from klear_verl.trainer.rollouts import (
    Group,
    Response,
    checked_reward,
    make_group,
    overlong_penalty,
    reward_info,
    trains,
)

TRAIN = "train"
ALIVE_EVERY_S = 10.0
"""How often a wait makes sure that the processes it waits for are alive."""
LEAST_YIELD = 0.25
"""The least share of groups with signal that a refill counts on: with fewer seen, it asks for 4 prompts per place."""


class GroupBuffer(ReplayBuffer):
    """See the module's docstring. The partition "val" is verl's own business."""

    def configure(
        self,
        groups: GroupsConfig,
        overlong: OverlongConfig,
        *,
        batch_size: int,
        max_response_length: int,
        check_alive: Callable[[], None],
        least_live: int = 2,
    ) -> None:
        """What verl's constructor has no argument for.

        Args:
            groups, overlong: how groups are judged and whether more are generated.
            batch_size: groups wanted a step.
            max_response_length: the length limit, in tokens.
            check_alive: raises if generation can make no progress any more, since a dead worker never reports.
            least_live: responses that a group needs to train (`compatibility.least_live`).
        """
        self._config = groups
        self._overlong = overlong
        self._batch_size = batch_size
        self._limit = max_response_length
        self._check_alive = check_alive
        self._least_live = least_live
        self.begin_step()

    def begin_step(self) -> None:
        """Forgets the last step."""
        self._position: dict[str, int] = {}
        self._groups: dict[str, Group] = {}

    def submitted(self, uids: Sequence[str]) -> None:
        """Notes prompts sent out for generation, in the order in which the data set gave them."""
        for uid in uids:
            self._position[uid] = len(self._position)

    @property
    def groups(self) -> list[Group]:
        """The groups of this step that have at least one response."""
        return list(self._groups.values())

    @property
    def prompts(self) -> int:
        """Prompts sent out in this step."""
        return len(self._position)

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[KVBatchMeta, dict[str, Any]]:
        """Waits for every response of the step, refilling where configured.

        Returns:
            All rows of the step, of whatever group, in the order of prompts and sessions; no metrics.
        """
        if partition_id != TRAIN:
            return super().sample(global_steps, partition_id, batch_size)
        last_debug, last_alive = time.time(), time.monotonic()
        while True:
            self._sync_metadata_from_transfer_queue()
            self._read_new_groups()
            in_flight = len(self.pending_keys[TRAIN]) + len(self.running_keys[TRAIN])
            if wanted := self._refill(in_flight):
                self.refill_fn(wanted)
                continue
            if in_flight == 0:
                return self._all_rows(), {}
            if time.monotonic() - last_alive > ALIVE_EVERY_S:
                self._check_alive()
                last_alive = time.monotonic()
            last_debug = self._wait_for_next_poll(TRAIN, last_debug)

    def _refill(self, in_flight: int) -> int:
        """How many more prompts to generate now: what the observed yield says is missing, within the prompts that may
        be in flight at a time and the prompts that a step may use."""
        if self._config.mode != "refill":
            return 0
        found = sum(trains(group, self._config) for group in self._groups.values())
        if found >= self._batch_size:
            return 0
        share = max(LEAST_YIELD, found / len(self._groups)) if self._groups else 1.0
        missing = math.ceil((self._batch_size - found) / share) - in_flight
        at_a_time = self._config.generate or self._batch_size
        bound = self._config.max_generate or 10 * self._batch_size
        return max(0, min(missing, at_a_time - in_flight, bound - self.prompts))

    def _read_new_groups(self) -> None:
        """Reads the rewards of the groups that have ended since the last look."""
        ended = (self.finished_keys[TRAIN] | self.failure_keys[TRAIN]) - self._groups.keys()
        rows: dict[str, list[str]] = defaultdict(list)
        for key in self.partitions[TRAIN]:
            uid = key.split("_", 1)[0]
            if uid in ended:
                rows[uid].append(key)
        keys = [key for uid in rows for key in rows[uid]]
        if not keys:
            return
        fields = ["rm_scores", "response_mask", "extra_fields", "data_source"]
        data = tq.kv_batch_get(keys=keys, partition_id=TRAIN, select_fields=fields)
        sources = [str(source) for source in data["data_source"]] if "data_source" in data else None
        values = zip(
            keys, data["rm_scores"].unbind(), data["response_mask"].unbind(), list(data["extra_fields"]), strict=True
        )
        by_session: dict[str, dict[int, list[Response]]] = defaultdict(lambda: defaultdict(list))
        for number, (key, scores, mask, extra) in enumerate(values):
            uid, session, _ = key.rsplit("_", 2)
            response = self._response(
                key, float(scores.sum()), bool(mask.any()), extra, sources[number] if sources else ""
            )
            by_session[uid][int(session)].append(response)
        for uid, sessions in by_session.items():
            responses = [_last_output(outputs) for outputs in sessions.values()]
            self._groups[uid] = make_group(responses, self._config, self._overlong, self._least_live)

    def _response(self, key: str, score: float, has_tokens: bool, extra: Any, source: str) -> Response:
        uid, session, _ = key.rsplit("_", 2)
        tag = self.partitions[TRAIN][key]
        penalty = overlong_penalty(tag["response_len"], self._limit, self._overlong)
        return Response(
            keys=(key,),
            uid=uid,
            position=self._position[uid],
            session=int(session),
            prompt_tokens=tag["prompt_len"],
            response_tokens=tag["response_len"],
            reward=checked_reward(score, key, source) + penalty,
            info=reward_info(extra),
            data_source=source,
            empty=not has_tokens,
        )

    def _all_rows(self) -> KVBatchMeta:
        tq.kv_clear(partition_id=TRAIN, keys=list(self._position))
        ordered = sorted(self._groups.values(), key=lambda group: group.position)
        keys = [key for group in ordered for response in group.responses for key in response.keys]
        return KVBatchMeta(partition_id=TRAIN, keys=keys, tags=[self.partitions[TRAIN][key] for key in keys])


def _last_output(outputs: list[Response]) -> Response:
    """A session with several outputs is judged by its last one, and stands or falls with it."""
    ordered = sorted(outputs, key=lambda response: int(response.keys[0].rsplit("_", 1)[1]))
    keys = tuple(response.keys[0] for response in ordered)
    tokens = sum(response.response_tokens for response in ordered)
    return dataclasses.replace(ordered[-1], keys=keys, response_tokens=tokens)
