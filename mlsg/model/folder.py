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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from mlsg.cache.files import read_json, readable_json
from mlsg.errors import ModelError

SCHEMA = "mlsg.encoder/1"
PROVENANCE = "mlsg.json"
_MODULES = "modules.json"
_SENTENCE_CONFIG = "sentence_bert_config.json"
_MODEL_CONFIG = "config_sentence_transformers.json"
_LEGACY_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_TRANSFORMER_DEFAULTS: Mapping[str, Callable[[Any], bool]] = {
    "max_seq_length": lambda value: value is None or (isinstance(value, int) and value > 0),
    "do_lower_case": lambda value: isinstance(value, bool),
    "transformer_task": lambda value: value == "feature-extraction",
    "module_output_name": lambda value: value == "token_embeddings",
    "modality_config": lambda value: (
        value.get("text", {}).get("method_output_name") == "last_hidden_state" and "message" not in value
    ),
    "unpad_inputs": lambda value: True,
    "model_args": lambda value: set(value) <= {"trust_remote_code", "attn_implementation", "torch_dtype", "dtype"},
    "model_kwargs": lambda value: set(value) <= {"trust_remote_code", "attn_implementation", "torch_dtype", "dtype"},
}


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
    """What a sentence-transformers folder does with the base's outputs, and the prompts it declares by name."""

    pooling: str
    modules: tuple[ModuleFolder, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None


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
        return Transformer(folder)
    kind, where = _modules(folder)[0]
    if kind != "Transformer":
        raise ModelError(f"{folder}: the first module is {kind}, not a Transformer", "name an encoder of the BERT kind")
    settings = read_table(where / _SENTENCE_CONFIG) if (where / _SENTENCE_CONFIG).is_file() else {}
    for key, value in settings.items():
        if not _is_understood(key, value):
            raise ModelError(f"{where / _SENTENCE_CONFIG}: mlsg does not have {key} = {value!r}", _INSTEAD)
    return Transformer(where, settings.get("max_seq_length"), settings.get("do_lower_case", False))


def read_encoder_modules(folder: Path) -> EncoderModules:
    """Pooling and following modules of a sentence-transformers folder.

    Raises ModelError for a module, pooling or layer mix that mlsg does not have.
    """
    _, *modules = _modules(folder)
    averaged = bool(modules) and modules[0][0] == "WeightedLayerPooling"
    if averaged:
        _check_layer_average(read_transformer(folder).folder, modules[0][1])
        modules = modules[1:]
    if not modules or modules[0][0] != "Pooling":
        raise ModelError(f"{folder / _MODULES}: no Pooling follows the Transformer", _INSTEAD)
    pooling = _pooling(modules[0][1])
    if averaged and pooling != "mean":
        raise ModelError(f"{folder / _MODULES}: mlsg does not have {pooling} over averaged layers", _INSTEAD)
    for kind, where in modules[1:]:
        if kind not in ("Dense", "Normalize"):
            raise ModelError(f"{where}: mlsg does not have the module {kind}", _INSTEAD)
    following = tuple(ModuleFolder(kind, where) for kind, where in modules[1:])
    return EncoderModules("first_last" if averaged else pooling, following, *_prompts(folder))


def write_layout(
    folder: Path, layout: EncoderModules, *, dimension: int, max_length: int, lower_case: bool
) -> Mapping[str, Path]:
    """Write everything but weights and tokenizer; `dimension` is the base's.

    Returns the folder of each module that has weights: `WeightedLayerPooling`, and those after the pooling by number,
    `0`, `1`, ...
    """
    averaged = layout.pooling == "first_last"
    kinds = ["Transformer", *(["WeightedLayerPooling"] if averaged else []), "Pooling"]
    pooling = kinds.index("Pooling")
    kinds += [module.kind for module in layout.modules]
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    for path in paths[1:]:
        (folder / path).mkdir(exist_ok=True)
    write_json(folder / _MODULES, modules)
    write_json(folder / _SENTENCE_CONFIG, {"max_seq_length": max_length, "do_lower_case": lower_case})
    settings = {"prompts": dict(layout.prompts), "default_prompt_name": layout.default_prompt_name}
    table = {"model_type": "SentenceTransformer", **settings, "similarity_fn_name": "cosine"}
    write_json(folder / _MODEL_CONFIG, table)
    mode = "mean" if averaged else layout.pooling
    switches = {key: name == mode for key, name in _LEGACY_POOLINGS.items()}
    write_json(folder / paths[pooling] / "config.json", {"word_embedding_dimension": dimension, **switches})
    found = {str(number): folder / path for number, path in enumerate(paths[pooling + 1 :])}
    return {**found, "WeightedLayerPooling": folder / paths[1]} if averaged else found


def read_provenance(folder: Path) -> dict[str, Any]:
    """What mlsg.json says, or an empty table. Raises ModelError when it is broken or of a later kind."""
    path = folder / PROVENANCE
    if not path.is_file():
        return {}
    found = read_table(path)
    if found.get("schema") != SCHEMA:
        raise ModelError(f"{path} is of kind {found.get('schema')!r}, not {SCHEMA}", "update mlsg")
    return found


def write_provenance(folder: Path, facts: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
    """mlsg.json: its kind, what the encoder is, then the given provenance."""
    write_json(folder / PROVENANCE, {**provenance, "schema": SCHEMA, "encoder": dict(facts)})


_INSTEAD = "use an encoder made of Transformer, Pooling (cls, mean, max), Dense and Normalize"


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """(class name, folder) of each module, in order."""
    path = folder / _MODULES
    try:
        found = [(str(entry["type"]), folder / str(entry["path"])) for entry in read_json(path)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error})", "download the model again") from error
    for kind, where in found:
        if not kind.startswith("sentence_transformers."):
            raise ModelError(f"{path}: {kind} is code of the model's own, which mlsg never runs", _INSTEAD)
        if not where.resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"{path}: {where} is outside of the model", "download the model again")
    if not found:
        raise ModelError(f"{path} names no modules", "download the model again")
    return [(kind.rpartition(".")[2], where) for kind, where in found]


def _pooling(where: Path) -> str:
    settings = read_table(where / "config.json")
    modes = settings.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in _LEGACY_POOLINGS.items() if settings.get(key)] or ["mean"]
    if isinstance(modes, str):
        modes = [modes]
    if len(modes) != 1 or modes[0] not in ("cls", "mean", "max"):
        raise ModelError(f"{where}: mlsg does not have the pooling {' + '.join(map(str, modes))}", _INSTEAD)
    if settings.get("include_prompt") is False:
        raise ModelError(f"{where}: mlsg does not have include_prompt = False", _INSTEAD)
    return str(modes[0])


def _check_layer_average(base: Path, where: Path) -> None:
    """Raise ModelError unless layers 1 and L, and no others, are averaged: the one mix that mlsg has (first_last)."""
    settings = read_table(where / "config.json")
    try:
        weights = load_file(path := where / "model.safetensors")["layer_weights"]
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error})", "download the model again") from error
    ends = weights.size > 0 and weights[0] == weights[-1] > 0 and not weights[1:-1].any()
    heard = read_table(base / "config.json").get("output_hidden_states") is True
    if settings.get("layer_start") != 1 or settings.get("num_hidden_layers") != weights.size or not ends or not heard:
        raise ModelError(f"{where}: of mixed layers mlsg has the average of the first and the last only", _INSTEAD)


def _prompts(folder: Path) -> tuple[dict[str, str], str | None]:
    """Prompts by name, and the name of the one that sentence-transformers uses by default."""
    settings = read_table(folder / _MODEL_CONFIG) if (folder / _MODEL_CONFIG).is_file() else {}
    prompts, name = settings.get("prompts") or {}, settings.get("default_prompt_name")
    return {str(key): str(text or "") for key, text in prompts.items()}, None if name is None else str(name)


def _is_understood(key: str, value: Any) -> bool:
    try:
        return key in _TRANSFORMER_DEFAULTS and _TRANSFORMER_DEFAULTS[key](value)
    except (AttributeError, TypeError):
        return False


def read_table(path: Path) -> dict[str, Any]:
    """A JSON file that holds a table. Raises ModelError."""
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error})", "download the model again") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no table", "download the model again")
    return found


def write_json(path: Path, value: object) -> None:
    """JSON for people, in UTF-8; the stage that asked for the folder publishes it whole."""
    path.write_text(readable_json(value), encoding="utf-8", newline="\n")
