"""Reading a base from a folder, each failure reported in one line; writing it reproducibly.

No code of the model's own is run, and no pickle is read (`weights.py`).
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
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES, MODEL_MAPPING
from transformers.utils import logging

from mlsg.cache.files import read_json
from mlsg.errors import ModelError
from mlsg.model.adapter import with_adapter
from mlsg.model.folder import write_json
from mlsg.model.guard import one_line
from mlsg.model.weights import AGAIN, check_sizes, shapes

_UNTRAINED = ("pooler.", "position_ids", "token_type_ids")
_LARGEST = 10_000_000  # of a number in config.json: what builds tables of that size would take all memory
_LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
OF_THIS_MACHINE = ("_name_or_path", "name_or_path", "is_local", "local_files_only", "transformers_version")


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
    path = folder / "config.json"
    with one_line(f"{path} is not a configuration that transformers knows", "name a model of the BERT kind"):
        _check_numbers(path, read_json(path))
        with quiet_transformers():
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                folder, return_dict=True, output_attentions=False, **_LOCAL
            )
    if getattr(config, "transformers_weights", None) is not None:
        raise ModelError(f"{path} names weights of its own (transformers_weights)", "name them model.safetensors")
    causal = getattr(config, "is_decoder", False) or getattr(config, "is_encoder_decoder", False)
    shaped = all(isinstance(getattr(config, name, None), int) for name in ("hidden_size", "num_hidden_layers"))
    known = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and type(config) in MODEL_MAPPING
    static = config.model_type == "opt" and getattr(config, "num_hidden_layers", None) == 0  # of mlsg.model.static
    if causal or not shaped or not (known or static):
        problem = f"{folder} is a {config.model_type} model, not an encoder of the BERT kind"
        raise ModelError(problem, "name one such as BERT, XLM-R, DistilBERT, MiniLM or MPNet")
    return config


def read_model(folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    """The encoder without task heads or an untrained pooler, in float32 and evaluation mode.

    Raises ModelError for weights that are missing, pickled, damaged or another model's.
    """
    check_sizes(folder, config, shapes(folder))
    mapped: Any = MODEL_MAPPING[type(config)]
    kind = mapped[0] if isinstance(mapped, tuple) else mapped
    options = {**_LOCAL, "dtype": torch.float32, "use_safetensors": True}
    options["attn_implementation"] = "sdpa" if kind._supports_sdpa else "eager"
    if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        options["add_pooling_layer"] = False
    model: PreTrainedModel
    with one_line(f"the weights in {folder} cannot be read", AGAIN), quiet_transformers():
        model, found = AutoModel.from_pretrained(
            folder,
            config=copy.deepcopy(config),
            output_loading_info=True,
            adapter_kwargs={"subfolder": "-"},  # transformers finds no adapter there; with_adapter merges it
            **options,
        )
    missing = sorted(name for name in found["missing_keys"] if not any(part in name for part in _UNTRAINED))
    if missing:
        problem = f"the weights in {folder} lack {len(missing)} tensors of its config.json, the first is {missing[0]}"
        raise ModelError(problem, AGAIN)
    model = with_adapter(model, folder)
    model.eval()
    return model


def write_model(model: PreTrainedModel, folder: Path, *, all_layers: bool) -> None:
    """Weights in float32 and config.json; `all_layers` makes sentence-transformers pass on every layer."""
    with quiet_transformers():
        model.save_pretrained(folder)
    path = folder / "config.json"
    (folder / "model.safetensors").chmod(path.stat().st_mode)
    aside = (*OF_THIS_MACHINE, "output_hidden_states")
    config = {key: value for key, value in read_json(path).items() if key not in aside}
    config |= {"output_hidden_states": True} if all_layers else {}
    write_json(path, dict(sorted(config.items())))


def first_position(model: PreTrainedModel) -> int:
    """The number of the first position: 0, or the one after the padding id for models of the RoBERTa kind."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "padding_idx"):  # I-BERT's is no nn.Embedding
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


def positions(model: PreTrainedModel) -> int | None:
    """How many tokens the model has positions for, None if it does not say: 512 for BERT and XLM-R (a table of 514)."""
    size = getattr(model.config, "max_position_embeddings", None)
    return size - first_position(model) if isinstance(size, int) and size > 0 else None


def _check_numbers(path: Path, value: object) -> None:
    """Raise ModelError for a number that no model has, anywhere in a configuration, before a table of it is made."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        if isinstance(each, int) and abs(each) > _LARGEST:
            raise ModelError(f"{path}: {str(key)[:40]} is {float(each):.3g}, more than any model has", AGAIN)
        _check_numbers(path, each)
