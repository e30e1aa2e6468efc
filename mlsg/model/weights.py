"""The weight files of a model's folder, looked at before they are loaded: what they are and what they hold.

Safetensors only: a pickle can run anything, so it is refused even where it could be read. Does not import torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from mlsg.cache.files import read_json
from mlsg.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]

INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"
AGAIN = "download the model again"
_CONVERT = "convert them to safetensors, or take a revision of the model that has them"
_POINTER = b"version https://git-lfs"
_PICKLES = (b"PK\x03\x04", b"\x80")
_WRAPPERS = {"module.": "DataParallel", "_orig_mod.": "torch.compile"}
_ROWS = {
    **dict.fromkeys(("word_embeddings", "tok_embeddings", "embed_tokens"), "vocab_size"),
    **{"position_embeddings": "max_position_embeddings", "token_type_embeddings": "type_vocab_size"},
}
_SPARE = 2  # rows that a table of positions may have beyond those that are counted (MRA, Nystromformer)
_DIMENSIONS = ("hidden_size", "intermediate_size", "embedding_size")
_MOST_LAYERS = 64  # without numbers in the names of tensors, as where layers share theirs


def shards(folder: Path) -> list[Path]:
    """The files that model.safetensors.index.json names; none where there is no index.

    Raises ModelError unless each is a safetensors file inside the folder.
    """
    path = folder / INDEX
    if not path.is_file():
        return []
    try:
        names = sorted({str(name) for name in read_json(path)["weight_map"].values()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({type(error).__name__}: {str(error)[:80]})", AGAIN) from error
    for name in names:
        inside = not PurePath(name).is_absolute() and ".." not in PurePosixPath(name.replace("\\", "/")).parts
        if not inside or not name.endswith(".safetensors"):
            raise ModelError(f"{path} names {name[:80]!r}, not a safetensors file inside the model", AGAIN)
    return [folder / name for name in names]


def check_pointers(folder: Path) -> None:
    """Raise ModelError for a file that stands for one which Git LFS has not fetched."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size < 1024 and _start(path).startswith(_POINTER):
            problem = f"{path} is a Git LFS pointer, not the file itself"
            raise ModelError(problem, f"run: git lfs pull (in {folder}), or {AGAIN}")


def shapes(folder: Path) -> Shapes:
    """Name and shape of each tensor. Raises ModelError for weights that are missing, pickled, damaged or wrapped."""
    files = [folder / _WHOLE] if (folder / _WHOLE).is_file() else shards(folder)
    if not files:
        raise _without_weights(folder)
    found: dict[str, tuple[int, ...]] = {}
    for path in files:
        if not path.is_file():
            raise ModelError(f"{folder / INDEX} names {path.name}, which is not there", AGAIN)
        try:
            with safe_open(path, "np") as file:
                found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, SafetensorError) as error:
            if path.is_file() and _start(path).startswith(_PICKLES):
                problem = f"{path} is a pickle under another name, which can run any code and is never read"
                raise ModelError(problem, _CONVERT) from error
            reason = f"{type(error).__name__}: {str(error)[:160]}"
            raise ModelError(f"the weights in {folder} cannot be read ({reason})", AGAIN) from error
    for prefix, wrapper in _WRAPPERS.items():
        if found and all(name.startswith(prefix) for name in found):
            problem = f'the tensors in {folder} are named "{prefix}...": the model was saved inside {wrapper}'
            raise ModelError(problem, f"save what is inside it: model.{prefix}save_pretrained(...)")
    return found


def check_sizes(folder: Path, config: Any, found: Shapes) -> None:
    """Raise ModelError where config.json speaks of a model larger or smaller than the weights, before it is built."""
    problem = f"the weights in {folder} cannot be read: config.json says"
    remedy = "use the config.json that was saved with these weights"
    for name, shape in found.items():
        key = _ROWS.get(name.removesuffix(".weight").rpartition(".")[2], "")
        rows = getattr(config, key, None)
        if isinstance(rows, int) and shape and rows and not 0 <= shape[0] - rows <= _SPARE * ("position" in key):
            raise ModelError(f"{problem} {key} = {rows}, but {name} has {shape[0]} rows", remedy)
    dimensions = {size for shape in found.values() for size in shape}
    for key in _DIMENSIONS if getattr(config, "num_hidden_layers", 0) else ():
        size = getattr(config, key, None)
        if isinstance(size, int) and size not in dimensions:
            raise ModelError(f"{problem} {key} = {size}, and they lack tensors of that dimension", remedy)
    numbers = [int(number) for name in found for number in re.findall(r"\.(\d{1,4})\.", name)]
    most = max([_MOST_LAYERS, *(number + 1 for number in numbers)])
    for key in ("num_hidden_layers", "num_hidden_groups", "inner_group_num"):
        layers = getattr(config, key, 0)
        if not isinstance(layers, int) or not 0 <= layers <= most:
            raise ModelError(f"{problem} {key} = {layers!r}, but they hold no more than {most} layers", remedy)


def _without_weights(folder: Path) -> ModelError:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    for name in names:
        if re.fullmatch(r"model-\d+-of-\d+\.safetensors", name):
            return ModelError(f"{folder} has {name}, but no {INDEX} that says what is where", AGAIN)
        if "safetensor" in name.lower() and not name.startswith("adapter_"):
            return ModelError(f"{folder} has {name}, but weights are read from {_WHOLE}", f"rename it to {_WHOLE}")
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickled:
        problem = f"{folder} has only pickled weights ({pickled[0]}), which can run any code and are never read"
        return ModelError(problem, _CONVERT)
    others = [name for name in names if name.endswith((".h5", ".msgpack", ".onnx", ".gguf"))]
    if others:
        return ModelError(f"{folder} has weights of another library only ({others[0]})", _CONVERT)
    return ModelError(f"{folder} has no weights ({_WHOLE})", AGAIN)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_POINTER))
