"""A model's files in the hub's cache: configuration, tokenizer and safetensors, and never a pickle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mlsg.errors import ModelError
from mlsg.hub import libraries
from mlsg.hub.errors import named, reason, reworded
from mlsg.hub.retry import RetryPolicy, retry
from mlsg.hub.revisions import ask, repository_folder

_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_INDEX = "model.safetensors.index.json"
_TEXTS = {".json", ".txt", ".model", ".spm", ".codes", ".md", ".jinja", ".vocab"}
_PICKLES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
_OTHER_FORMATS = {"onnx", "openvino", "coreml", "tf_model", "flax_model", ".git"}


def cached_model(repo: str, commit: str) -> Path | None:
    """The folder of a model that is whole in the cache, or None. Raises ModelError for a damaged index of weights."""
    folder = repository_folder("model", repo) / "snapshots" / commit
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        return None
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    indexed = set()
    for index in (name for name in files if name.endswith(_INDEX)):
        try:
            shards = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()
            indexed |= {str(PurePosixPath(index).with_name(shard)) for shard in shards}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            problem = f"{named('model', repo)} is damaged in the cache ({index}: {reason(error)})"
            remedy = f"delete {repository_folder('model', repo)}; the model is then downloaded again"
            raise ModelError(problem, remedy) from None
    weights = {name for name in files if _WEIGHTS.fullmatch(PurePosixPath(name).name)}
    return folder if weights and indexed <= weights else None


def download_model(repo: str, commit: str, policy: RetryPolicy) -> Path:
    """Download what is needed of a model and return its folder. Raises ModelError and HubUnreachableError."""
    files = ask("model", repo, commit, policy).files
    check_model(repo, files)
    wanted = wanted_files(files)
    download = libraries.hub().snapshot_download
    with reworded("model", repo, commit):
        folder = retry(lambda: download(repo, revision=commit, allow_patterns=wanted), named("model", repo), policy)
    return Path(folder)


def wanted_files(files: Iterable[str]) -> list[str]:
    """Configuration, tokenizer and safetensors of the model and, for sentence-transformers, of its modules.

    >>> wanted_files(["config.json", "pytorch_model.bin", "model.safetensors", "onnx/model.onnx", "1_Pooling/x.json"])
    ['config.json', 'model.safetensors', '1_Pooling/x.json']
    """
    return [name for name in files if _is_wanted(PurePosixPath(name))]


def check_model(repo: str, files: Iterable[str]) -> None:
    """Raise ModelError when there is no configuration, or a part has pickled weights only."""
    paths = [PurePosixPath(name) for name in files]
    names = {str(path) for path in paths}
    if "config.json" not in names and "modules.json" not in names:
        raise ModelError(f"{named('model', repo)} has no config.json", "name a model of the transformers library")
    safe = {path.parent for path in paths if _WEIGHTS.fullmatch(path.name)}
    for path in paths:
        if path.suffix in _PICKLES and path.name.startswith("pytorch_model") and path.parent not in safe:
            problem = f"{named('model', repo)} has only pickled weights ({path}), which mlsg never loads"
            raise ModelError(problem, "choose a model, or a revision of it, that is published as safetensors")
    if not safe:
        raise ModelError(f"{named('model', repo)} has no model.safetensors", "choose a model published as safetensors")


def _is_wanted(path: PurePosixPath) -> bool:
    if len(path.parts) > 2 or _OTHER_FORMATS & set(path.parts[:-1]):
        return False
    return path.suffix in _TEXTS or _WEIGHTS.fullmatch(path.name) is not None
