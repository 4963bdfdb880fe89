# SPDX-License-Identifier: Apache-2.0
"""Prompts over the length limit. verl 0.9.1's v1 trainer cuts them on the left with a log line, whatever
`data.truncation` says (AgentLoopBase._cap_text_prompt_length), unless `data.filter_overlong_prompts` drops them first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from klear_verl.errors import ConfigError, DataError


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    chat_template: Any

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any: ...

    def encode(self, text: str, **kwargs: Any) -> list[int]: ...

    def __len__(self) -> int: ...


def load_tokenizer(
    path: str, key: str, *, trust_remote_code: bool = False, chat_template: str | None = None
) -> Tokenizer:
    """Loads a tokenizer and makes sure that it can render a conversation.

    Args:
        path: folder or model id.
        key: the option it comes from, for the message.
        trust_remote_code: as verl's option.
        chat_template: `custom_chat_template`, in place of the tokenizer's own.

    Raises:
        ConfigError: names the option, the folder and the tokenizer's own error.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
    except Exception as error:  # the tokenizers library raises bare Exception for a file it cannot read
        raise ConfigError(
            f"{key}={path}: the tokenizer cannot be loaded: {error}", "restore the tokenizer's files"
        ) from error
    tokenizer.chat_template = chat_template or tokenizer.chat_template
    if not tokenizer.chat_template:
        raise ConfigError(
            f"{key}={path}: the tokenizer has no chat template",
            "save one with it (tokenizer.chat_template), or set actor_rollout_ref.model.custom_chat_template",
        )
    return tokenizer


@dataclass
class LengthCheck:
    """Counts the prompts over `limit` tokens, and those within it."""

    tokenizer: Tokenizer
    limit: int
    template_kwargs: dict[str, Any] = field(default_factory=dict)
    within: int = 0
    over: int = 0
    first_over: str = ""
    longest: int = 0

    def add(self, prompt: list[dict[str, Any]], where: str) -> None:
        """Measures one prompt.

        Raises:
            DataError: the chat template refuses the prompt.
        """
        length = self._length(prompt, where)
        if length <= self.limit:
            self.within += 1
            return
        self.over += 1
        self.longest = max(self.longest, length)
        self.first_over = self.first_over or f"{where} ({length} tokens)"

    def _length(self, prompt: list[dict[str, Any]], where: str) -> int:
        kwargs = {
            name: value
            for name, value in self.template_kwargs.items()
            if name not in ("tokenize", "return_dict", "return_tensors")
        }
        try:
            text = self.tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False, **kwargs)
        except Exception as error:  # a template is a program: it raises what it likes
            raise DataError(
                f"{where}: the chat template refuses the prompt: {error}", "correct the row's messages"
            ) from error
        # A token stands for at least one byte, so that most prompts need no tokenizing.
        size = len(text.encode("utf-8", "surrogatepass"))
        return size if size <= self.limit else len(self.tokenizer.encode(text, add_special_tokens=False))

    def raise_if_cut(self, files_key: str, *, filtered: bool, truncation: str) -> str | None:
        """Judges what has been counted.

        Args:
            files_key: the option that named the files.
            filtered: `data.filter_overlong_prompts`: verl drops the long prompts.
            truncation: `data.truncation`; only an explicit "left" accepts what verl does.

        Returns:
            A note for the user where long prompts are dropped or knowingly cut, else None.

        Raises:
            DataError: prompts would be cut silently; says how many and which is the first.
        """
        if not self.over:
            return None
        what = (
            f"{files_key}: {self.over} of {self.over + self.within} prompts exceed "
            f"data.max_prompt_length={self.limit}; first {self.first_over}"
        )
        if filtered:
            return f"{what}; they are left out (data.filter_overlong_prompts)"
        if truncation == "left":
            return f"{what}; they lose their beginning (data.truncation=left)"
        raise DataError(
            f"{what}. verl would cut off their beginning",
            f"raise data.max_prompt_length (longest: {self.longest}), or drop them with "
            "data.filter_overlong_prompts=True, or accept it with data.truncation=left",
        )
