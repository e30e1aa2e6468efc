"""Reading a base and its tokenizer from a folder, each failure reported in one line; writing them reproducibly.

Safetensors only and no code of the model's own: a pickle can run anything, so it is refused even where it could be
read.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import normalizers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES, MODEL_MAPPING
from transformers.utils import logging

from mlsg.cache.files import read_json
from mlsg.errors import ModelError
from mlsg.model.adapter import with_adapter
from mlsg.model.folder import write_json

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "bpe.codes")
_UNTRAINED = ("pooler.", "position_ids", "token_type_ids")
_AGAIN = "download the model again"
_LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
_OF_THIS_MACHINE = ("_name_or_path", "name_or_path", "is_local", "local_files_only", "transformers_version")


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars, reports or warnings of transformers inside; its settings are as before afterwards."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def read_config(folder: Path) -> PreTrainedConfig:
    """The configuration of an encoder. Raises ModelError if it is missing, or of another kind of model."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json, so it is not a model", "name a model's folder or a hub id")
    try:
        with quiet_transformers():
            config: PreTrainedConfig = AutoConfig.from_pretrained(folder, **_LOCAL)
    except Exception as error:
        problem = f"{folder / 'config.json'} is not a configuration that transformers knows ({_reason(error)})"
        raise ModelError(problem, "name a model of the BERT kind") from error
    causal = getattr(config, "is_decoder", False) or getattr(config, "is_encoder_decoder", False)
    if causal or config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or type(config) not in MODEL_MAPPING:
        problem = f"{folder} is a {config.model_type} model, not an encoder of the BERT kind"
        raise ModelError(problem, "name one such as BERT, XLM-R, DistilBERT, MiniLM or MPNet")
    return config


def read_model(folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    """The encoder without task heads or an untrained pooler, in float32 and evaluation mode.

    Raises ModelError for weights that are missing, pickled, damaged or another model's.
    """
    _check_weights(folder)
    mapped: Any = MODEL_MAPPING[type(config)]
    kind = mapped[0] if isinstance(mapped, tuple) else mapped
    options = {**_LOCAL, "dtype": torch.float32, "use_safetensors": True}
    options["attn_implementation"] = "sdpa" if kind._supports_sdpa else "eager"
    if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        options["add_pooling_layer"] = False
    model: PreTrainedModel
    try:
        with quiet_transformers():
            model, found = AutoModel.from_pretrained(
                folder,
                config=copy.deepcopy(config),
                output_loading_info=True,
                adapter_kwargs={"subfolder": "-"},  # transformers finds no adapter there; with_adapter merges it
                **options,
            )
    except Exception as error:
        raise ModelError(f"the weights in {folder} cannot be read ({_reason(error)})", _AGAIN) from error
    missing = sorted(name for name in found["missing_keys"] if not any(part in name for part in _UNTRAINED))
    if missing:
        problem = f"the weights in {folder} lack {len(missing)} tensors of its config.json, the first is {missing[0]}"
        raise ModelError(problem, _AGAIN)
    model = with_adapter(model, folder)
    model.eval()
    return model


def read_tokenizer(folder: Path, config: PreTrainedConfig, *, lower_case: bool) -> PreTrainedTokenizerBase:
    """The tokenizer, set to lower-case if the folder asks sentence-transformers to.

    Raises ModelError if it is missing, or has more tokens than the model.
    """
    names = [path.name for path in folder.iterdir()]
    if not any(name in _TOKENIZER_FILES or name.endswith((".model", ".spm")) for name in names):
        raise ModelError(f"{folder} has no tokenizer (tokenizer.json, vocab.txt or a SentencePiece model)", _AGAIN)
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, **_LOCAL)
    except Exception as error:
        raise ModelError(f"the tokenizer in {folder} cannot be read ({_reason(error)})", _AGAIN) from error
    if len(tokenizer) > config.vocab_size:
        problem = f"the tokenizer in {folder} has {len(tokenizer)} tokens, its model {config.vocab_size}"
        raise ModelError(problem, "use the tokenizer that the model was trained with")
    if lower_case:
        _set_lower_case(tokenizer, folder)
    return tokenizer


def write_model(model: PreTrainedModel, folder: Path, *, all_layers: bool) -> None:
    """Weights in float32 and config.json; `all_layers` makes sentence-transformers pass on every layer."""
    with quiet_transformers():
        model.save_pretrained(folder)
    path = folder / "config.json"
    (folder / "model.safetensors").chmod(path.stat().st_mode)
    aside = (*_OF_THIS_MACHINE, "output_hidden_states")
    config = {key: value for key, value in read_json(path).items() if key not in aside}
    config |= {"output_hidden_states": True} if all_layers else {}
    write_json(path, dict(sorted(config.items())))


def write_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path, max_length: int) -> None:
    """The tokenizer's files, without what its last call left there and without names of this machine."""
    if tokenizer.is_fast:
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    with quiet_transformers():
        tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = {key: value for key, value in read_json(path).items() if key not in _OF_THIS_MACHINE}
    write_json(path, dict(sorted({**settings, "model_max_length": max_length}.items())))


def first_position(model: PreTrainedModel) -> int:
    """The number of the first position: 0, or the one after the padding id for models of the RoBERTa kind."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


def positions(model: PreTrainedModel) -> int | None:
    """How many tokens the model has positions for, None if it does not say: 512 for BERT and XLM-R (a table of 514)."""
    size = getattr(model.config, "max_position_embeddings", None)
    return size - first_position(model) if isinstance(size, int) and size > 0 else None


def _check_weights(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    if any(name.endswith(".safetensors") for name in names):
        return
    pickled = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
    if pickled:
        problem = f"{folder} has only pickled weights ({pickled[0]}), which can run any code and are never read"
        raise ModelError(problem, "convert them to safetensors, or take a revision of the model that has them")
    raise ModelError(f"{folder} has no weights (model.safetensors)", _AGAIN)


def _set_lower_case(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    if not tokenizer.is_fast:
        problem = f"{folder} asks for lower case of a tokenizer that is written in Python"
        raise ModelError(problem, "save the model with a tokenizer.json")
    backend = tokenizer.backend_tokenizer
    found = backend.normalizer
    steps: list[normalizers.Normalizer] = [] if found is None else [found]
    if isinstance(found, normalizers.Sequence):
        steps = list(found)  # type: ignore[call-overload]
    if not any(isinstance(step, normalizers.Lowercase) for step in steps):
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])


def _reason(error: Exception) -> str:
    """The first words of an error of the libraries: enough to search for, short enough for a line."""
    if isinstance(error, MemoryError):
        raise error
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:160]}{'...' if len(said) > 160 else ''}"
