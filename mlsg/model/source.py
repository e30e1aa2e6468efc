"""Where a model is (the starter, a folder, the hub), and what identifies it in keys. Does not import torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlsg.cache.files import canonical_json, sha256_file, sha256_text
from mlsg.cache.verify import verified_in
from mlsg.config.resources import starter_folder
from mlsg.errors import HubUnreachableError, ModelError
from mlsg.model.folder import module_folders
from mlsg.model.weights import shards

if TYPE_CHECKING:
    from mlsg.hub import Hub

_NAMES = (
    *("config.json", "modules.json", "config_sentence_transformers.json", "special_tokens_map.json", "unigram.json"),
    *("added_tokens.json", "vocab.txt", "vocab.json", "vocab-src.json", "vocab-tgt.json", "target_vocab.json"),
    *("entity_vocab.json", "word_shape.json", "word_pronunciation.json", "normalizer.json", "byte_maps.json"),
    *("emoji.json", "merges.txt", "dict.txt", "bpe.codes", "tekken.json", "prophetnet.tokenizer"),
)
_PATTERNS = re.compile(r".*(\.safetensors|\.safetensors\.index\.json|\.model.*|\.spm|_config\.json)|tokenizer\..*json")
"""What transformers and sentence-transformers read of a model: weights, settings, and the files of every tokenizer."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class ModelFolder:
    """A model on this machine. `revision` is the hub's full commit, or empty for a folder of the user's."""

    name: str
    folder: Path
    revision: str = ""


def local_folder(model: str) -> Path | None:
    """The folder that `model` names, or None where it can only be a hub id: `bert-base-multilingual-cased` -> None.

    "starter" is the embedded model; a folder of that name is written `./starter`. Raises ModelError for what is neither
    a folder nor spelled like a hub id.
    """
    if model == "starter":
        return starter_folder() / "model"
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{model} is a file, not a model", "name the folder that holds config.json")
    if not _HUB_ID.fullmatch(model):
        raise ModelError(f"the folder {model!r} does not exist", "name a model's folder, a hub id, or starter")
    return None


def find_model(model: str, revision: str = "main", hub: Hub | None = None) -> ModelFolder:
    """Find a model, fetching it from the hub where need be.

    `hub` brings the workspace's record of what `main` meant; without one the environment decides. Raises ModelError and
    HubUnreachableError, DataError for an encoder of a workspace that is damaged.
    """
    folder = local_folder(model)
    if folder is not None:
        verified_in(folder.absolute())
        return ModelFolder(model if model == "starter" else folder.resolve().name, folder)
    hub = hub or _hub()
    commit = _hub_commit(model, revision, hub)
    return ModelFolder(model, hub.snapshot(model, commit), commit)


def _hub_commit(repo: str, revision: str, hub: Hub) -> str:
    commit = hub.resolve(repo, revision, "model")
    if commit is None:
        where = "is neither a folder here nor a model in the local cache, and the hub is out of reach"
        remedy = "name a local folder, or connect to the network once"
        raise HubUnreachableError(f"{repo} {where} ({hub.why_unreachable()})", remedy)
    return commit


def fingerprint_model(model: str, revision: str = "main", hub: Hub | None = None) -> str:
    """`sha256:<hex>` of a folder's configuration, tokenizer, weights and modules; `repo@<commit>` of a hub model.

    A card, a training log or a note in the folder does not count. Raises ModelError where there is no model and
    HubUnreachableError where the commit of a revision is not known.
    """
    folder = local_folder(model)
    if folder is None:
        return f"{model}@{_hub_commit(model, revision, hub or _hub())}"
    verified_in(folder.absolute())
    files = _files_that_matter(folder)
    if not files:
        raise ModelError(f"{model} holds no model", "name the folder that holds config.json and model.safetensors")
    try:
        hashes = sorted((path.relative_to(folder).as_posix(), sha256_file(path)) for path in files)
    except OSError as error:
        raise ModelError(
            f"{error.filename} cannot be read ({error.strerror})", "let it be read, or name a copy"
        ) from error
    return f"sha256:{sha256_text(canonical_json(hashes))}"


def _files_that_matter(folder: Path) -> list[Path]:
    """The files of a model folder that decide its vectors, those of its modules' folders (`1_Pooling`) included."""
    places = sorted({folder, *(place for place in module_folders(folder) if place.is_dir())})
    files = (path for place in places for path in sorted(place.iterdir()) if path.is_file())
    matter = {path for path in files if path.name in _NAMES or _PATTERNS.fullmatch(path.name)}
    return sorted(matter.union(shard for place in places for shard in shards(place) if shard.is_file()))


def _hub() -> Hub:
    from mlsg.hub import Hub

    return Hub.from_environment()
