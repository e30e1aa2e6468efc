"""Writing an encoder's folder: layout, weights, tokenizer, modules. The same encoder gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mlsg.cache.files import read_json
from mlsg.model.folder import Head, Step, write_json, write_layout, write_provenance
from mlsg.model.modules import save_tensors, write_step
from mlsg.model.quiet import quiet_transformers

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone
    from mlsg.model.encoder import Encoder

_OF_THIS_MACHINE = ("_name_or_path", "name_or_path", "is_local", "local_files_only", "transformers_version")


def save_encoder(encoder: Encoder, folder: Path, provenance: Mapping[str, Any]) -> None:
    """Write `encoder` into `folder`, which may exist but must hold none of these files' folders yet.

    Pooling from layer k < L writes the lowest k layers only. first_last is sentence-transformers' own mean over tokens
    of layers averaged with weights 1, 0, ..., 0, 1.
    """
    whole = encoder.backbone
    base = whole if encoder.layer == whole.layers else whole.truncated(encoder.layer)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = tuple(Step(type(step).__name__, folder) for step in encoder.steps)
    head = Head(encoder.pooling, kinds, encoder.prompt)
    places = write_layout(
        folder, head=head, dimension=base.dimension, max_length=base.max_length, lower_case=base.lower_case
    )
    _write_base(base, folder, all_layers=encoder.pooling == "first_last")
    _write_tokenizer(base, folder)
    for number, step in enumerate(encoder.steps):
        write_step(step, places[str(number)])
    if encoder.pooling == "first_last":
        _write_layer_average(places["WeightedLayerPooling"], base)
    facts = {
        "pooling": encoder.pooling,
        "layer": encoder.layer,
        "base_layers": whole.layers,
        "dimension": encoder.dimension,
        "max_length": encoder.max_length,
    }
    write_provenance(folder, facts, provenance)


def _write_base(base: Backbone, folder: Path, *, all_layers: bool) -> None:
    """Weights in float32 and config.json; `all_layers` makes sentence-transformers pass on every layer."""
    with quiet_transformers():
        base.model.save_pretrained(folder)
    path = folder / "config.json"
    (folder / "model.safetensors").chmod(path.stat().st_mode)
    config = {key: value for key, value in read_json(path).items() if key not in _OF_THIS_MACHINE}
    config.pop("output_hidden_states", None)
    if all_layers:
        config["output_hidden_states"] = True
    write_json(path, dict(sorted(config.items())))


def _write_tokenizer(base: Backbone, folder: Path) -> None:
    tokenizer = base.tokenizer
    if tokenizer.is_fast:  # what the last call left there is no part of the tokenizer
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    with quiet_transformers():
        tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = {key: value for key, value in read_json(path).items() if key not in _OF_THIS_MACHINE}
    settings["model_max_length"] = base.max_length
    write_json(path, dict(sorted(settings.items())))


def _write_layer_average(folder: Path, base: Backbone) -> None:
    weights = torch.zeros(base.layers)  # of layers 1..L
    weights[0] = weights[-1] = 1.0
    settings = {"word_embedding_dimension": base.dimension, "layer_start": 1, "num_hidden_layers": base.layers}
    write_json(folder / "config.json", settings)
    save_tensors({"layer_weights": weights}, folder)
