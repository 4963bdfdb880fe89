# SPDX-License-Identifier: Apache-2.0
"""From response tokens to the text that is scored, and from there to the answer: what follows `</think>`.

verl's own managers decode with skip_special_tokens=True, which also drops `<think>` and `</think>` where a tokenizer
calls them special, and leave clean_up_tokenization_spaces to the tokenizer, which may alter the white space of
programs. Neither happens here.

Of the think format only the form is judged here, never the answer. No text is an error: every string has an answer or
none.
"""

from __future__ import annotations

from typing import Any, Literal

THINK_START = "<think>"
THINK_END = "</think>"

ThinkFault = Literal["no </think>", "no <think> at the start of the response"]
"""What a response lacks of the think format, in the words of a score's `detail`."""


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


def split_answer(
    response: str,
    think: Literal["required", "off"] = "required",
    prefilled: bool | Literal["auto"] = "auto",
) -> tuple[str | None, ThinkFault | None]:
    """The answer in a response, and what the response lacks of the think format.

    Well-formed: the response begins with `<think>` (white space aside), closes it, and what follows the last
    `</think>` is the answer. A second `<think>` left open after it is thinking cut short: no answer.

    Args:
        response: the text of the response alone, without the prompt.
        think: "off" needs no tags: the answer is what follows the last `</think>`, or the whole response.
        prefilled: whether the chat template already wrote `<think>` at the end of the prompt. True: it did, so the
            response need not begin with it. False: it did not. "auto": a response with no `<think>` and exactly one
            `</think>` counts as well-formed.

    Returns:
        (the text to grade, None where there is none; the fault, None where the response is well-formed).
    """
    head, end, answer = response.rpartition(THINK_END)
    if think == "off":
        return answer, None
    if not end or THINK_START in answer:
        return None, "no </think>"
    begins = response.lstrip().startswith(THINK_START)
    in_prompt = (THINK_START not in head and THINK_END not in head) if prefilled == "auto" else prefilled
    return answer, None if begins or in_prompt else "no <think> at the start of the response"
