"""`mlsg starter build`: from a folder of text to a base, in one out folder.

OUT/settings.json     what it was begun with; going on with other settings is refused
OUT/prepared/         tokenizer and token ids
OUT/checkpoints/      where it goes on after a kill
OUT/snapshots/        weights after 1/8, 2/8, 4/8 and 8/8 of the tokens, each a model folder
OUT/model/            the base, its card and training.json
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import BertForPreTraining

from mlsg import console
from mlsg.cache.files import read_json, readable_json, sync, sync_tree, write_atomically
from mlsg.config.recipes import Recipe
from mlsg.config.settings import table_of
from mlsg.errors import SettingError
from mlsg.pretraining.alignment import start_vectors
from mlsg.pretraining.card import facts_of, write_card
from mlsg.pretraining.corpora import find_corpora
from mlsg.pretraining.inputs import Inputs
from mlsg.pretraining.loop import Run, State, fit
from mlsg.pretraining.network import make_network
from mlsg.pretraining.preparing import prepare_text
from mlsg.pretraining.saving import save_model, write_model
from mlsg.pretraining.settings import pretrain_settings
from mlsg.pretraining.tokenizer import SPECIAL, continues, wrapped

_CHECKPOINT_SECONDS = 240.0
_EMBEDDING_SIZE = 0.04
"""Standard deviation of words that occur together, at the start: twice BERT's, so that they last."""
_MAY_CHANGE = {"tokens"}
"""Settings with which a begun folder may go on otherwise: a longer or shorter training has the same first steps."""
_PLACES = 0.25
"""What places and types are multiplied by where words do not begin by chance."""


def build(
    recipe: Recipe,
    *,
    text: Path,
    out: Path,
    data_root: Path | None = None,
    checkpoint_seconds: float = _CHECKPOINT_SECONDS,
) -> Path:
    """Pretrain as `recipe.pretrain` says, or go on with it, and return the model's folder.

    Raises SettingError for settings that do not fit together or are not those that `out` was begun with, DataError for
    text that cannot be read or is not there, DivergedError.
    """
    settings = pretrain_settings(recipe)
    _check(settings.lengths, settings.length_shares, settings.width, settings.heads)
    final = out / "model"
    folder = find_corpora(text, settings.languages)
    _begin(out, {"pretrain": table_of(settings), "files": folder.hashes, "evaluation_checked": data_root is not None})
    if final.is_dir():
        console.note(f"{final} is there")
        return final
    store, tokenizer = prepare_text(folder, out, data_root, settings)
    vocabulary = tokenizer.get_vocab_size()
    saved = wrapped(tokenizer, settings.lengths[-1])
    model = make_network(vocabulary, settings)
    frequencies = np.bincount(store.ids, minlength=vocabulary) / max(1, len(store.ids))
    _start_bias(model, frequencies)
    if settings.embedding_start == "cooccurrence" and not any((out / "checkpoints").glob("step-*")):
        _start(model, start_vectors(store, vocabulary, settings.width, settings.seed))
    accelerator = Accelerator()
    run = Run(
        model,
        Inputs(store, continues(tokenizer), settings),
        frequencies,
        settings,
        out / "checkpoints",
        accelerator,
        checkpoint_seconds,
        lambda eighths: save_model(out / "snapshots" / f"{eighths}-of-8", model, saved),
    )
    (out / "snapshots").mkdir(exist_ok=True)
    state = fit(run)
    _finish(final, run, saved, facts_of(text, store, state, settings, _size(model), str(accelerator.device)))
    console.note(_summary(state))
    return final


def _check(lengths: tuple[int, ...], shares: tuple[float, ...], width: int, heads: int) -> None:
    if not lengths or list(lengths) != sorted(lengths) or lengths[0] < 8:
        raise SettingError(f"pretrain.lengths is {list(lengths)}", "give numbers from 8 on that do not fall")
    if len(shares) != len(lengths) or min(shares) < 0 or not sum(shares):
        raise SettingError(f"pretrain.length_shares is {list(shares)}", "give one share for each of pretrain.lengths")
    if width % heads:
        raise SettingError(f"pretrain.width {width} is no multiple of pretrain.heads {heads}", "change one of them")


def _begin(out: Path, wanted: Mapping[str, Any]) -> None:
    """Note what the folder is begun with, or check that it is the same. Raises SettingError."""
    path = out / "settings.json"
    if not path.is_file():
        try:
            write_atomically(path, readable_json(wanted))
        except OSError as error:
            raise SettingError(f"{out} cannot be written: {error.strerror}", "name another folder with --out") from None
        return
    begun = read_json(path)
    differ = [
        *(
            f"pretrain.{key} {begun['pretrain'].get(key)!r}, now {value!r}"
            for key, value in wanted["pretrain"].items()
            if begun["pretrain"].get(key) != value and key not in _MAY_CHANGE
        ),
        *(
            f"another {name}"
            for name in wanted["files"].keys() | begun["files"].keys()
            if wanted["files"].get(name) != begun["files"].get(name)
        ),
    ]
    if begun["evaluation_checked"] != wanted["evaluation_checked"]:
        differ.append(f"{'a' if begun['evaluation_checked'] else 'no'} --data-root")
    tokens = begun["pretrain"]["tokens"]
    if (out / "model").is_dir() and tokens != wanted["pretrain"]["tokens"]:
        differ.append(f"pretrain.tokens {tokens}, and is finished")
    if differ:
        problem = f"{out} was begun with {'; '.join(differ)}"
        raise SettingError(problem, "go on with what it was begun with, or name a new folder with --out")
    write_atomically(path, readable_json(wanted))


@torch.no_grad()
def _start(model: BertForPreTraining, words: np.ndarray) -> None:
    """Put in word embeddings, except for the special tokens; places and types begin small, so that words rule."""
    embeddings = model.bert.embeddings
    seen = np.abs(words).sum(axis=1) > 0
    seen[: len(SPECIAL)] = False
    size = _EMBEDDING_SIZE * words.shape[1] ** 0.5  # of vectors of length 1
    embeddings.word_embeddings.weight[torch.as_tensor(seen)] = torch.as_tensor(words[seen] * np.float32(size))
    for part in (embeddings.position_embeddings, embeddings.token_type_embeddings):
        part.weight.mul_(_PLACES)


@torch.no_grad()
def _start_bias(model: BertForPreTraining, frequencies: np.ndarray) -> None:
    """Let the prediction begin with how frequent tokens are: AdamW would need thousands of steps to get there."""
    floor = float(frequencies[frequencies > 0].min()) / 2
    model.cls.predictions.bias.copy_(torch.as_tensor(np.log(np.maximum(frequencies, floor) * len(frequencies))))


def _finish(final: Path, run: Run, tokenizer: Any, facts: Mapping[str, Any]) -> None:
    partial = final.with_name(f".{final.name}")
    write_model(partial, run.model, tokenizer)
    write_card(partial, "Starter encoder", facts)
    sync_tree(partial)
    partial.rename(final)
    sync(final.parent)


def _size(model: torch.nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def _summary(state: State) -> str:
    padding = 100 * (1 - state.tokens / max(1, state.places))
    return (
        f"{state.tokens} tokens in {state.step} steps and {state.seconds:.0f} s "
        f"({state.tokens / max(state.seconds, 1e-9):.0f} tokens/s), {padding:.2f}% padding"
    )
