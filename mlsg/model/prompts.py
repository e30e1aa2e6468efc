"""Prompts: texts that an encoder puts before each sentence, by name, and the one that is used by default.

Names are those of sentence-transformers: `prompts`, `default_prompt_name`. Does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlsg.errors import SettingError, nearest

_GIVEN = "default"  # name of a prompt that the user writes out


@dataclass(frozen=True)
class Prompts:
    """The prompts of an encoder."""

    by_name: Mapping[str, str] = field(default_factory=dict)
    default_name: str | None = None

    @property
    def text(self) -> str:
        """What is put before a sentence where nothing else is asked for."""
        return "" if self.default_name is None else self.by_name.get(self.default_name, "")

    def chosen(self, prompt: str | None, prompt_name: str | None) -> Prompts:
        """The same with another default: the text `prompt` ("": none), or the prompt called `prompt_name`.

        Raises SettingError for both at once and for an unknown name.
        """
        if prompt is not None and prompt_name is not None:
            raise SettingError("a prompt and the name of a prompt", "give one of --prompt, --prompt-name")
        if prompt_name is not None and prompt_name not in self.by_name:
            remedy = nearest(prompt_name, self.by_name) if self.by_name else "this encoder has none; give --prompt"
            raise SettingError(f'unknown prompt "{prompt_name}"', remedy)
        if prompt is None:
            return self if prompt_name is None else Prompts(self.by_name, prompt_name)
        name = next((name for name, text in self.by_name.items() if text == prompt), _GIVEN)
        return Prompts({**self.by_name, name: prompt}, name) if prompt else Prompts(self.by_name)
