"""What identifies a model in keys: the bytes that decide its vectors. Does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlsg.cache.files import canonical_json, sha256_file, sha256_text
from mlsg.errors import ModelError
from mlsg.model.folder import module_folders
from mlsg.model.source import hub_commit, local_folder

if TYPE_CHECKING:
    from mlsg.hub import Hub

_NAMES = {
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "bpe.codes",
}
_SUFFIXES = (".safetensors", ".safetensors.index.json", ".model", "_config.json")


def fingerprint_model(model: str, revision: str = "main", hub: Hub | None = None) -> str:
    """`sha256:<hex>` of a folder's configuration, tokenizer, weights and modules; `repo@<commit>` of a hub model.

    A card, a training log or a note in the folder does not count. Raises ModelError where there is no model and
    HubUnreachableError where the commit of a revision cannot be had.
    """
    folder = local_folder(model)
    if folder is None:
        return f"{model}@{hub_commit(model, revision, hub)}"
    files = files_that_matter(folder)
    if not files:
        raise ModelError(f"{model} holds no model", "name the folder that holds config.json and model.safetensors")
    hashes = sorted((path.relative_to(folder).as_posix(), sha256_file(path)) for path in files)
    return f"sha256:{sha256_text(canonical_json(hashes))}"


def files_that_matter(folder: Path) -> list[Path]:
    """The files of a model folder that decide its vectors, those of its modules' folders (`1_Pooling`) included."""
    places = sorted({folder, *(place for place in module_folders(folder) if place.is_dir())})
    return [path for place in places for path in sorted(place.iterdir()) if path.is_file() and _matters(path.name)]


def _matters(name: str) -> bool:
    return name in _NAMES or name.endswith(_SUFFIXES)
