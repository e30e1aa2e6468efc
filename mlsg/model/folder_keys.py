"""Every key of every file of a sentence-transformers folder, with the values of it that mlsg has: a closed list.

A key is honoured by who reads its file, or known to change no vector (`__version__`, `idx`, precision and attention in
`model_args`: mlsg has its own); any other key or value is refused by name. Names are those that sentence-transformers
6.2 and peft 0.21 read, with those of older versions. Does not import torch.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlsg.cache.files import canonical_json, read_json
from mlsg.errors import ModelError

Keys = Mapping[str, object]
"""For each key a value, a type, a question to ask of a value, or several of these in a tuple; `object` is anything."""

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""sentence-transformers' poolings over the tokens of one layer."""

_SWITCHES = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
LEGACY_MODES: Mapping[str, str] = {f"pooling_mode_{old}": mode for old, mode in zip(_SWITCHES, MODES, strict=True)}
"""Until version 5.4 each pooling was a switch; those that are on are joined in this order."""

LAYER_MEANS: Mapping[str, Callable[[int], tuple[int, ...]]] = {
    "first_last": lambda last: (1, last),
    "embedding_last": lambda last: (0, last),
    "last_two": lambda last: (last - 1, last),
    "all_layers": lambda last: tuple(range(1, last + 1)),
}
"""Poolings over several layers: those whose outputs each averages, where the last one is given."""

ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU")
INSTEAD = "use an encoder made of Transformer, Pooling, Dense and Normalize, with plain settings"
_AGAIN = "download the model again"
_LARGEST = 2**24  # bytes of a file of settings; real ones have thousands


def activation(path: object) -> str:
    """`torch.nn.modules.activation.Tanh` -> `Tanh`; an empty string for what is not one of `ACTIVATIONS`."""
    where, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    home = "torch.nn.modules." + ("linear" if name == "Identity" else "activation")
    return name if name in ACTIVATIONS and where in ("torch.nn", "torch.nn.modules", home) else ""


def _count(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**31


def _empty(value: Any) -> bool:
    """Nothing is said: null, false, or a table of nothing."""
    return not value or (isinstance(value, dict) and not any(value.values()))


def _dotted(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[\w.]+", value))


def _printable(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _names(value: Any) -> bool:
    """Plain names: a pattern could be matched for ever."""
    return isinstance(value, list) and all(map(_dotted, value))


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and _names(list(value)) and all(map(_count, value.values()))


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is str for each in value)


def _weights(value: Any) -> bool:
    return isinstance(value, dict) and all(type(each) in (int, float) for each in value.values())


def _joined(value: Any) -> bool:
    return bool(value) and _names(value) and set(value) <= set(MODES)


def _prompts(value: Any) -> bool:
    return isinstance(value, dict) and all(text is None or isinstance(text, str) for text in value.values())


def _precision(value: Any) -> bool:
    known = {"trust_remote_code", "attn_implementation", "torch_dtype", "dtype"}
    return _empty(value) or (isinstance(value, dict) and set(value) <= known)


def _untrusted(value: Any) -> bool:
    return _empty(value) or (isinstance(value, dict) and set(value) <= {"trust_remote_code"})


_DIMENSION: Keys = {"word_embedding_dimension": _count, "embedding_dimension": _count}
_SENTENCE: Keys = {"module_input_name": "sentence_embedding", "module_output_name": ("sentence_embedding", None)}

MODULE: Keys = {"idx": object, "name": str, "path": _printable, "type": _dotted, "kwargs": _empty}
"""Of an entry of modules.json."""

MODEL: Keys = {  # config_sentence_transformers.json
    "__version__": object,
    "model_type": "SentenceTransformer",
    "prompts": (None, _prompts),
    "default_prompt_name": (None, str),
    "similarity_fn_name": (None, "cosine", "dot", "euclidean", "manhattan"),
    "truncate_dim": (None, _count),
    "requirements": _empty,
}

TRANSFORMER: Keys = {  # sentence_bert_config.json and its other names
    "max_seq_length": (None, _count),
    "do_lower_case": (None, bool),
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
    "modality_config": (None, {}, {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}),
    "unpad_inputs": (None, bool),
    **dict.fromkeys(("model_args", "model_kwargs"), _precision),
    **dict.fromkeys(("tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"), _untrusted),
    **dict.fromkeys(("processing_kwargs", "query_length", "document_length", "query_expansion"), _empty),
    "tokenizer_name_or_path": _empty,
}

POOLING: Keys = {
    **_DIMENSION,
    **dict.fromkeys(LEGACY_MODES, (None, bool)),
    "pooling_mode": (*MODES, _joined),
    "include_prompt": bool,
}
LAYER_AVERAGE: Keys = {**_DIMENSION, "layer_start": (0, 1), "num_hidden_layers": _count}  # WeightedLayerPooling
WORD_WEIGHTS: Keys = {"vocab": _texts, "word_weights": _weights, "unknown_word_weight": (int, float)}
NORMALIZE: Keys = _SENTENCE
DENSE: Keys = {
    **_SENTENCE,
    "in_features": _count,
    "out_features": _count,
    "bias": bool,
    "activation_function": activation,
    "use_residual": (None, False),
}

WK: Keys = {}
FLOW: Keys = dict.fromkeys(("dimension", "levels", "depth", "width"), _count)
NEAREST_MEAN: Keys = {"dimension": _count}

LORA: Keys = {  # what decides in peft's adapter_config.json
    "peft_type": "LORA",
    "r": _count,
    "lora_alpha": (int, float),
    "target_modules": _names,
    "exclude_modules": (None, _names),
    "bias": ("none", "all", "lora_only"),
    **dict.fromkeys(("fan_in_fan_out", "use_rslora", "use_dora", "lora_bias"), bool),
    **dict.fromkeys(("rank_pattern", "alpha_pattern"), (None, _numbers)),
    "init_lora_weights": (bool, "gaussian"),  # the others change the weights of the base
}
ADAPTER: Keys = {  # the whole of it; its many other keys have to be empty
    **LORA,
    **dict.fromkeys(("base_model_name_or_path", "revision", "task_type", "inference_mode", "auto_mapping"), object),
    **dict.fromkeys(("lora_dropout", "peft_version", "megatron_core", "qalora_group_size"), object),
}


def read_settings(path: Path) -> Any:
    """What a JSON file holds, if it could be written again: no NaN, no endless nesting. Raises ModelError."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise OSError("no such file" if not path.exists() else "not a file of settings")
        found = read_json(path)
        canonical_json(found).encode()
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error})", _AGAIN) from error
    return found


def read_table(path: Path) -> dict[str, Any]:
    """A JSON file that holds a table. Raises ModelError."""
    found = read_settings(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no table", _AGAIN)
    return found


def read_known(path: Path, keys: Keys) -> dict[str, Any]:
    """The table in a file. Raises ModelError that names the first key or value that is not among `keys`."""
    return known(read_table(path), keys, path)


def known(table: dict[str, Any], keys: Keys, path: Path) -> dict[str, Any]:
    """`table` itself. Raises ModelError that names the first key or value that is not among `keys`."""
    for key, value in table.items():
        if key not in keys or not _has(keys[key], value):
            raise ModelError(f"{path}: mlsg does not have {_plain(key)} = {shown(value)}", INSTEAD)
    return table


def said(table: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
    """`table` without what is neither among `keys` nor says anything."""
    return {key: value for key, value in table.items() if key in keys or not _empty(value)}


def shown(value: object) -> str:
    """A value of a stranger's file in a message: short, without control characters."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)


def _has(wanted: object, value: object) -> bool:
    if isinstance(wanted, tuple):
        return any(_has(each, value) for each in wanted)
    if isinstance(wanted, type):
        return wanted is object or type(value) is wanted
    return bool(wanted(value)) if callable(wanted) else type(value) is type(wanted) and value == wanted


def _plain(key: str) -> str:
    return key if key.isidentifier() and len(key) < 80 else shown(key)
