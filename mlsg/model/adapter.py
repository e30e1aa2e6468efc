"""LoRA adapters beside the weights of a base: added to them by `peft`, which mlsg does not need otherwise."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from transformers import PreTrainedModel

from mlsg.errors import ModelError
from mlsg.model.folder import ADAPTER_CONFIG
from mlsg.model.folder_keys import ADAPTER, LORA, known, read_table, said, shown
from mlsg.model.modules import read_tensors

_MERGED = "merge the adapter into its base and save that"


def with_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The model with the adapter in its folder merged into its weights; itself where there is none.

    Raises ModelError where peft is not installed, and for an adapter that is not LoRA or not of this model.
    """
    path, weights = folder / ADAPTER_CONFIG, folder / "adapter_model.safetensors"
    if not path.exists():
        return model
    settings = known(said(read_table(path), ADAPTER), ADAPTER, path)
    if importlib.util.find_spec("peft") is None:
        raise ModelError(f"{folder} holds a LoRA adapter, and peft is not installed", f"pip install peft, or {_MERGED}")
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    tensors = read_tensors(weights)
    declared = [settings.get("r", 8), *(settings.get("rank_pattern") or {}).values()]
    if max(declared) > max(
        (size for name, each in tensors.items() if "lora_A" in name for size in each.shape[:1]), default=0
    ):
        raise ModelError(f"{weights} is not of the rank that {path.name} says", _MERGED)
    try:
        decisive = {key: value for key, value in settings.items() if key in LORA and value is not None}
        tuned = get_peft_model(model, LoraConfig(**decisive, inference_mode=True))
        found = set_peft_model_state_dict(tuned, tensors)
        merged: PreTrainedModel = tuned.merge_and_unload(safe_merge=True)
    except Exception as error:
        raise ModelError(f"{weights} cannot be merged ({shown(str(error))})", _MERGED) from error
    strange = [*(name for name in found.missing_keys if "lora_" in name), *found.unexpected_keys]
    if strange:
        raise ModelError(f"{weights} is not of this model: {shown(strange[0])} has no counterpart", _MERGED)
    return merged
