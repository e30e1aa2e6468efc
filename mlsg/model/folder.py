"""The layout of an encoder's folder: what sentence-transformers reads, and what mlsg adds. Does not import torch.

    config.json, model.safetensors, tokenizer*    the base, at the root: `AutoModel.from_pretrained(folder)`
    modules.json, sentence_bert_config.json       what follows what; max length
    config_sentence_transformers.json             prompts
    1_Pooling/, 2_Dense/, ...                     one folder a module
    mlsg.json                                     provenance, for people and for `mlsg eval`

Files are written with the names and keys that sentence-transformers has read since version 2; version 6 reads them too,
and writes others that older versions refuse. They hold no date and no version, so that the same encoder gives the same
bytes. Modules that mlsg does not have are refused, never skipped: vectors would be others than the author's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from mlsg.cache.files import readable_json
from mlsg.errors import ModelError
from mlsg.model.folder_keys import (
    INSTEAD,
    LAYER_AVERAGE,
    LAYER_MEANS,
    LEGACY_MODES,
    MODEL,
    MODULE,
    POOLING,
    TRANSFORMER,
    WK,
    known,
    read_known,
    read_settings,
    read_table,
    shown,
)

SCHEMA = "mlsg.encoder/1"
PROVENANCE = "mlsg.json"
ADAPTER_CONFIG = "adapter_config.json"
_MODULES = "modules.json"
_BERTS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_SENTENCE_CONFIGS = tuple(f"sentence_{kind}_config.json" for kind in _BERTS)
"""In the order in which sentence-transformers looks for them; the first one that says anything counts."""

_MODEL_CONFIG = "config_sentence_transformers.json"
OWN = {
    "Flow": "mlsg.model.flow.Flow",
    "NearestMean": "mlsg.model.nearest_mean.NearestMean",
    "WK": "mlsg.model.wk.WK",
}
"""Modules that sentence-transformers does not have, by the names under which it finds, and refuses, them."""

_EMPTY_PROMPTS = ("query", "document")  # sentence-transformers has them in every model
_AGAIN = "download the model again"


@dataclass(frozen=True)
class Transformer:
    """The base's own folder, and its settings in sentence-transformers."""

    folder: Path
    max_length: int | None = None
    lower_case: bool = False


@dataclass(frozen=True)
class ModuleFolder:
    """A module after the pooling: `Dense` (read from `folder`) or `Normalize`."""

    kind: str
    folder: Path


@dataclass(frozen=True)
class EncoderModules:
    """What a sentence-transformers folder does with the base's outputs, and the prompts it declares by name.

    Poolings that are joined have one name: `cls+mean`.
    """

    pooling: str
    modules: tuple[ModuleFolder, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    include_prompt: bool = True
    truncate_dim: int | None = None
    similarity_fn_name: str = "cosine"
    word_weights: Path | None = None
    """Folder of the tokens' weights, of pooling sif."""


def is_sentence_transformer(folder: Path) -> bool:
    """Whether the folder says how sentence vectors are made."""
    return (folder / _MODULES).is_file()


def module_folders(folder: Path) -> list[Path]:
    """The folders of the modules, in order; the root may be one. Raises ModelError for a broken modules.json."""
    return [where for _, where in _modules(folder)] if is_sentence_transformer(folder) else []


def read_transformer(folder: Path) -> Transformer:
    """Where the base is and how long its inputs may be; a plain transformers folder is its own base.

    Raises ModelError for modules or settings that mlsg does not have.
    """
    if not is_sentence_transformer(folder):
        return Transformer(_with_base(folder))
    kind, where = _modules(folder)[0]
    if kind != "Transformer":
        raise ModelError(f"{folder}: the first module is {kind}, not a Transformer", "name an encoder of the BERT kind")
    paths = (where / name for name in _SENTENCE_CONFIGS)
    settings = next((found for path in paths if path.exists() and (found := read_known(path, TRANSFORMER))), {})
    return Transformer(_with_base(where), settings.get("max_seq_length"), bool(settings.get("do_lower_case")))


def read_encoder_modules(folder: Path) -> EncoderModules:
    """Pooling and following modules of a sentence-transformers folder.

    Raises ModelError for a module, pooling or layer mix that mlsg does not have.
    """
    _, *modules = _modules(folder)
    pooling, include_prompt, weights = "", True, None
    kind, where = modules[0] if modules else ("", folder)
    if kind == "WK":
        read_known(where / "config.json", WK)
        pooling = "wk"
    elif kind == "WeightedLayerPooling":
        pooling = _layer_mean(read_transformer(folder).folder, where)
    elif kind == "WordWeights":
        pooling, weights = "sif", where
    modules = modules[1:] if pooling else modules
    if pooling != "wk":
        if not modules or modules[0][0] != "Pooling":
            raise ModelError(f"{folder / _MODULES}: no Pooling follows the Transformer", INSTEAD)
        over_tokens, include_prompt = _pooling(modules[0][1])
        if pooling and over_tokens != "mean":
            averaged = "weighted tokens" if weights else "averaged layers"
            raise ModelError(f"{folder / _MODULES}: mlsg does not have {over_tokens} over {averaged}", INSTEAD)
        pooling, modules = pooling or over_tokens, modules[1:]
    for kind, where in modules:
        if kind not in ("Dense", "Normalize", "Flow", "NearestMean"):
            raise ModelError(f"{where}: mlsg does not have the module {kind}", INSTEAD)
    following = tuple(ModuleFolder(kind, where) for kind, where in modules)
    return EncoderModules(
        pooling, following, include_prompt=include_prompt, word_weights=weights, **_model_settings(folder)
    )


def write_layout(
    folder: Path, layout: EncoderModules, *, dimension: int, max_length: int, lower_case: bool
) -> Mapping[str, Path]:
    """Write everything but weights and tokenizer; `dimension` is the base's.

    Returns the folder of each module that has weights: `WeightedLayerPooling` or `WordWeights`, and those after the
    pooling by number, `0`, `1`, ...
    """
    before = {"sif": "WordWeights", **dict.fromkeys(LAYER_MEANS, "WeightedLayerPooling")}.get(layout.pooling)
    pools = "WK" if layout.pooling == "wk" else "Pooling"
    kinds = ["Transformer", *([before] if before else []), pools]
    pooling = kinds.index(pools)
    kinds += [module.kind for module in layout.modules]
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": OWN.get(kind, f"sentence_transformers.models.{kind}"),
        }
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    for path in paths[1:]:
        (folder / path).mkdir(exist_ok=True)
    write_json(folder / _MODULES, modules)
    write_json(folder / _SENTENCE_CONFIGS[0], {"max_seq_length": max_length, "do_lower_case": lower_case})
    settings = {"prompts": dict(layout.prompts), "default_prompt_name": layout.default_prompt_name}
    settings = {"model_type": "SentenceTransformer", **settings, "similarity_fn_name": layout.similarity_fn_name}
    truncated = {} if layout.truncate_dim is None else {"truncate_dim": layout.truncate_dim}
    write_json(folder / _MODEL_CONFIG, settings | truncated)
    if pools == "WK":
        write_json(folder / paths[pooling] / "config.json", {})
    else:
        modes = ["mean"] if before else layout.pooling.split("+")
        switches: dict[str, Any] = {key: name in modes for key, name in LEGACY_MODES.items()}
        if modes != [name for name in LEGACY_MODES.values() if name in modes]:  # in an order that no switches can say
            switches = {"pooling_mode": modes}
        left_out = {} if layout.include_prompt else {"include_prompt": False}
        width = {"word_embedding_dimension": dimension}
        write_json(folder / paths[pooling] / "config.json", {**width, **switches, **left_out})
    found = {str(number): folder / path for number, path in enumerate(paths[pooling + 1 :])}
    return {**found, before: folder / paths[1]} if before else found


def read_provenance(folder: Path) -> dict[str, Any]:
    """What mlsg.json says, or an empty table. Raises ModelError when it is broken or of a later kind."""
    path = folder / PROVENANCE
    if not path.is_file():
        return {}
    found = read_table(path)
    if found.get("schema") != SCHEMA:
        raise ModelError(f"{path} is of kind {shown(found.get('schema'))}, not {SCHEMA}", "update mlsg")
    return found


def write_provenance(folder: Path, facts: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
    """mlsg.json: its kind, what the encoder is, then the given provenance."""
    write_json(folder / PROVENANCE, {**provenance, "schema": SCHEMA, "encoder": dict(facts)})


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """(class name, folder) of each module, in order."""
    path = folder / _MODULES
    entries = read_settings(path)
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ModelError(f"{path} names no modules", _AGAIN)
    for entry in entries:
        known(entry, MODULE, path)
        if lacking := [key for key in ("name", "path", "type") if key not in entry]:
            raise ModelError(f"{path} does not say the {lacking[0]} of a module", _AGAIN)
        if not entry["type"].startswith("sentence_transformers.") and entry["type"] not in OWN.values():
            own = shown(entry["type"])
            raise ModelError(f"{path}: {own} is code of the model's own, which mlsg never runs", INSTEAD)
        if not _is_inside(folder, entry["path"]):
            raise ModelError(f"{path}: {shown(entry['path'])} is outside of the model", _AGAIN)
    if len({entry["name"] for entry in entries}) < len(entries):
        raise ModelError(f"{path} has two modules of one name", _AGAIN)
    return [(entry["type"].rpartition(".")[2], folder / entry["path"]) for entry in entries]


def _is_inside(folder: Path, path: str) -> bool:
    """Whether a path of a model's file stays in the model's folder, written for any system and followed on this one."""
    written = PureWindowsPath(path)
    if written.anchor or ".." in written.parts or len(path) > 255:
        return False
    try:
        return (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # no name of a file, or links in a circle
        return False


def _with_base(where: Path) -> Path:
    """The folder itself. Raises ModelError for a LoRA adapter that was saved without its base."""
    if (where / ADAPTER_CONFIG).exists() and not (where / "config.json").exists():
        remedy = "merge it into its base with peft and save that, or put the files of the base beside it"
        raise ModelError(f"{where} holds an adapter without its base", remedy)
    return where


def _pooling(where: Path) -> tuple[str, bool]:
    """The pooling, and whether it sees the prompt."""
    settings = read_known(where / "config.json", POOLING)
    modes = settings.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in LEGACY_MODES.items() if settings.get(key)] or ["mean"]
    return "+".join([modes] if isinstance(modes, str) else modes), settings.get("include_prompt", True)


def _layer_mean(base: Path, where: Path) -> str:
    """The pooling that averages these layers. Raises ModelError for weights that are none of `LAYER_MEANS`."""
    settings, config = read_known(where / "config.json", LAYER_AVERAGE), read_table(base / "config.json")
    try:
        weights = load_file(path := where / "model.safetensors")["layer_weights"]
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error})", _AGAIN) from error
    layers, start = config.get("num_hidden_layers", config.get("n_layers")) or 0, settings.get("layer_start", 1)
    heard = config.get("output_hidden_states") is True
    whole = layers > 0 and weights.shape == (layers + 1 - start,)
    if heard and whole and settings.get("num_hidden_layers") == layers:
        chosen = tuple(int(each) + start for each in weights.nonzero()[0])
        values = {float(weights[each - start]) for each in chosen}
        for name, layers_of in LAYER_MEANS.items():
            if len(values) == 1 and 0 < min(values) < math.inf and tuple(sorted(set(layers_of(layers)))) == chosen:
                return name
    known = "the first and the last, the last two, or all"
    raise ModelError(f"{where}: of mixed layers mlsg has plain averages only, of {known}", INSTEAD)


def _model_settings(folder: Path) -> dict[str, Any]:
    """What config_sentence_transformers.json says, by the names of `EncoderModules`."""
    path = folder / _MODEL_CONFIG
    settings = read_known(path, MODEL) if path.exists() else {}
    prompts = {name: text or "" for name, text in (settings.get("prompts") or {}).items()}
    name = settings.get("default_prompt_name")
    if name is not None and name not in prompts and name not in _EMPTY_PROMPTS:
        raise ModelError(f"{path}: default_prompt_name {shown(name)} is not one of its prompts", _AGAIN)
    return {
        "prompts": prompts,
        "default_prompt_name": name,
        "truncate_dim": settings.get("truncate_dim"),
        "similarity_fn_name": settings.get("similarity_fn_name") or "cosine",
    }


def write_json(path: Path, value: object) -> None:
    """JSON for people, in UTF-8; the stage that asked for the folder publishes it whole."""
    path.write_text(readable_json(value), encoding="utf-8", newline="\n")
