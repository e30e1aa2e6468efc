"""Files of tensors that are known from any other bytes, for what survives a kill and is not published yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file as save_safetensors
from torch import Tensor

from mlsg.cache.files import sync

_HASH = "sha256"


def save_file(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors and their hash, and force them to disk."""
    whole = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    save_safetensors(whole, path, {_HASH: _hash(whole)})
    sync(path)


def load_file(path: Path) -> dict[str, Tensor]:
    """The tensors of `save_file`. Raises ValueError where the file has other bytes, OSError where it cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            written = (file.metadata() or {}).get(_HASH)
    except SafetensorError as error:
        raise ValueError(f"{path.name} has changed ({error})") from error
    if written != _hash(tensors):
        raise ValueError(f"{path.name} has changed")
    return tensors


def is_whole(path: Path) -> bool:
    """Whether the file is there with the bytes that `save_file` wrote."""
    try:
        load_file(path)
    except (OSError, ValueError):
        return False
    return True


def _hash(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
