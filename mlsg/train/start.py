"""What training takes over from a base that is a sentence-transformers folder: its pooling and its prompts.

Training tunes the transformer under the pooling alone: what follows the pooling (Dense, Normalize) is left out, and the
new encoder says so. A plain transformers model has neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mlsg.config.recipes import EncoderSettings, Pooling
from mlsg.errors import SettingError
from mlsg.model.folder import is_sentence_transformer, read_encoder_modules
from mlsg.model.prompts import Prompts
from mlsg.model.source import find_model

if TYPE_CHECKING:
    from mlsg.train import TrainJob


@dataclass(frozen=True)
class Start:
    """What training begins with. `encoder` has a pooling that is not auto, and the prompt that is used."""

    encoder: EncoderSettings
    prompts: Prompts
    dropped: tuple[str, ...]
    """Modules after the pooling, by their names in sentence-transformers."""


def start_of(job: TrainJob) -> Start:
    """What a job begins with. Raises SettingError for prompts and poolings that do not fit, ModelError."""
    recipe = job.recipe
    return start_in(find_model(recipe.train.model, job.base_revision or "main", job.hub).folder, recipe.encoder)


def start_in(folder: Path, settings: EncoderSettings) -> Start:
    """The same of a base's folder, with what the settings do not leave to it."""
    pooling, known = "cls", Prompts()
    dropped: tuple[str, ...] = ()
    leaves_out = False
    if is_sentence_transformer(folder):
        found = read_encoder_modules(folder)
        pooling, known = found.pooling, Prompts(found.prompts, found.default_prompt_name)
        dropped = (*(module.kind for module in found.modules), *(["truncate_dim"] if found.truncate_dim else []))
        leaves_out = not found.include_prompt
    if settings.pooling != "auto":
        pooling = settings.pooling
    if pooling not in get_args(Pooling):
        remedy = f"set encoder.pooling to one of {', '.join(get_args(Pooling))}"
        raise SettingError(f"the base pools by {pooling}, which training does not have", remedy)
    prompts = known.chosen(settings.prompt, settings.prompt_name)
    if leaves_out and prompts.text:
        problem = f"{folder} leaves its prompt out of the pooling (include_prompt: false), which training does not have"
        raise SettingError(problem, 'train without one: --prompt ""')
    encoder = replace(settings, pooling=pooling, prompt=prompts.text, prompt_name=None)  # type: ignore[arg-type]
    return Start(encoder, prompts, dropped)
