# SPDX-License-Identifier: Apache-2.0
"""From response tokens to the text that is scored.

verl's own managers decode with skip_special_tokens=True, which also drops `<think>` and `</think>` where a tokenizer
calls them special, and leave clean_up_tokenization_spaces to the tokenizer, which may alter the white space of
programs. Neither happens here.
"""

from __future__ import annotations

from typing import Any

from klear_verl.reward.think import THINK_END, THINK_START


class ResponseDecoder:
    """Decodes responses with one tokenizer of the transformers kind."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        tags = (THINK_START, THINK_END)
        special = tokenizer.all_special_ids
        self._dropped = frozenset(token for token in special if tokenizer.convert_ids_to_tokens(token) not in tags)

    def decode(self, ids: list[int]) -> str:
        """The text of response tokens, without padding, end and other special tokens but with the think tags."""
        kept = [token for token in ids if token not in self._dropped]
        return self._tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def ends(self, ids: list[int]) -> bool:
        """Whether the response ended by itself, on a special token (end of sequence or of turn)."""
        return bool(ids) and ids[-1] in self._dropped
