"""Sentence-transformers folders written by hand around a base: any key in any of their files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def written_folder(
    base: Path,
    folder: Path,
    *,
    pooling: Mapping[str, Any] | None = None,
    dense: Mapping[str, Any] | None = None,
    normalize: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
    transformer: Mapping[str, Any] | None = None,
    transformer_name: str = "sentence_bert_config.json",
    width: int = 32,
) -> Path:
    """A folder with the base's files; each other argument is what that file says, None where there is no such file.

    A Dense of 12 numbers follows the pooling, which gives `width`.
    """
    folder.mkdir()
    for path in base.iterdir():
        (folder / path.name).symlink_to(path)
    kinds = ["Transformer", "Pooling", *(["Dense"] if dense else []), *([] if normalize is None else ["Normalize"])]
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write(folder / "modules.json", modules)
    write(folder / "1_Pooling/config.json", {"word_embedding_dimension": 32} | (pooling or {}))
    if dense:
        generator = torch.Generator().manual_seed(5)
        shapes = {"linear.weight": (12, width), "linear.bias": (12,)}
        write(folder / "2_Dense/config.json", {"in_features": width, "out_features": 12, "bias": True} | dense)
        tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        save_file(tensors, folder / "2_Dense/model.safetensors")
    if normalize is not None:
        write(folder / paths[-1] / "config.json", normalize)
    if model is not None:
        write(folder / "config_sentence_transformers.json", model)
    if transformer is not None:
        write(folder / transformer_name, transformer)
    return folder


def write(path: Path, value: object) -> None:
    """A JSON file, in a folder that need not be there yet."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
