"""The model folder: configuration, float16 weights, tokenizer. Loads in transformers and sentence-transformers."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

from transformers import BertForPreTraining, PreTrainedTokenizerFast

from mlsg.cache.files import sync, sync_tree
from mlsg.model.pretrained import quiet_transformers
from mlsg.pretraining.network import SAVED_DROPOUT


def save_model(folder: Path, model: BertForPreTraining, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a new folder in one step."""
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    write_model(partial, model, tokenizer)
    sync_tree(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    sync(folder.parent)


def write_model(folder: Path, model: BertForPreTraining, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model).cpu().half().eval()
    half.config.hidden_dropout_prob = half.config.attention_probs_dropout_prob = SAVED_DROPOUT
    with quiet_transformers():
        half.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
