"""(h) Pretraining: tokens a second of `mlsg starter build` against a plain `transformers` Trainer with masked words.

    python -m benchmarks.bench_pretrain                       the starter's sentences
    python -m benchmarks.bench_pretrain --text CORPORA --langs en,tr,zh
    python -m benchmarks.bench_pretrain --plain-precision float32

Both train the same BERT (the starter's sizes and tokenizer) on the same lines with the same threads, alternately, some
steps each; tokens are counted without padding. The Trainer's side is what its documentation shows: a line an example,
`DataCollatorForLanguageModeling` at 15%, batches of random lines padded to their longest, AdamW, bf16 unless
`--plain-precision` says otherwise (its default, float32, is slower here). mlsg's side is the recipe's own step:
neighbours joined, rows of one length, the head at hidden places alone, Muon, and losses that the Trainer has not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging

from benchmarks.machine import describe
from benchmarks.ratio import Comparison, alternate
from mlsg.config.recipes import load_recipe
from mlsg.config.resources import starter_folder
from mlsg.pretraining.corpora import find_corpora, read_text
from mlsg.pretraining.inputs import Inputs
from mlsg.pretraining.loop import Run, _Loop
from mlsg.pretraining.network import make_network
from mlsg.pretraining.settings import PretrainSettings, pretrain_settings
from mlsg.pretraining.store import Store
from mlsg.pretraining.tokenizer import continues, token_ids, wrapped

_STEPS = 5
_WARM = 1
_LINES = 6000
_ROWS = 64
"""Lines a step of the Trainer: some 1,700 tokens. `--rows` tries another number."""


def documents_of(text: Path | None, langs: Sequence[str]) -> dict[str, list[list[str]]]:
    """Documents of every language, some thousand lines; single lines are documents of their own."""
    if text is None:
        lines = (starter_folder() / "sentences" / "en.txt").read_text(encoding="utf-8").splitlines()
        return {"en": [[line] for line in lines if line.strip()]}
    found: dict[str, list[list[str]]] = {}
    for file in find_corpora(text, tuple(langs)).texts:
        documents, singles = read_text(file)
        kept = found.setdefault(file.lang, [])
        half, single = documents[: _LINES // 40], singles[: _LINES // 2]
        kept += half + [[line] for line in single]
    return found


def store_of(documents: Mapping[str, list[list[str]]], tokenizer: Tokenizer) -> Store:
    """Token ids of all lines."""
    languages = tuple(sorted(documents))
    ids: list[list[int]] = []
    bounds: dict[str, np.ndarray] = {}
    for lang in languages:
        sizes = np.cumsum([0, *map(len, documents[lang])])
        bounds[lang] = len(ids) + np.append(sizes, sizes[-1])
        ids += token_ids(tokenizer, [line for document in documents[lang] for line in document])
    starts = np.concatenate(([0], np.cumsum(list(map(len, ids)))))
    flat = np.concatenate([np.array(each, np.uint16) for each in ids])
    return Store(flat, starts, bounds, len(ids), np.zeros((0, 2), np.int64), languages, {})


class Plain:
    """A Trainer that stops after some steps and says how long they took and how many tokens they held."""

    def __init__(self, store: Store, tokenizer: PreTrainedTokenizerFast, rows: int, precision: str, out: str) -> None:
        vocabulary, longest = len(tokenizer), tokenizer.model_max_length
        config = make_network(vocabulary, _settings(precision)).config
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.1
        config._attn_implementation = "sdpa"  # what transformers chooses by itself
        self.model = BertForMaskedLM(config)
        specials = tokenizer.cls_token_id, tokenizer.sep_token_id
        self.examples = [
            {"input_ids": [specials[0], *store.line(line)[: longest - 2].tolist(), specials[1]]}
            for line in range(store.pairs)
        ]
        self.tokens = 0
        self.collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
        self.arguments = TrainingArguments(
            out,
            per_device_train_batch_size=rows,
            max_steps=_WARM + _STEPS,
            bf16=precision == "bf16",
            use_cpu=not torch.cuda.is_available(),
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )

    def run(self) -> float:
        """Seconds a million tokens."""
        seen: list[int] = []
        clock = _Clock()

        def collate(examples: list[dict[str, Any]]) -> Any:
            seen.append(sum(len(example["input_ids"]) for example in examples))
            return self.collator(examples)

        trainer = Trainer(self.model, self.arguments, data_collator=collate, train_dataset=self.examples)
        trainer.add_callback(clock)
        trainer.train()
        return 1e6 * (clock.ends[-1] - clock.ends[_WARM - 1]) / sum(seen[_WARM : _WARM + _STEPS])


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def _settings(precision: str) -> PretrainSettings:
    wanted = pretrain_settings(load_recipe("starter"))
    return replace(wanted, tokens=10**9, precision=precision)  # type: ignore[arg-type]


class _Alone:
    """What the loop asks of Accelerate in one process: the Trainer throws the state of a real one away."""

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()


def ours(store: Store, tokenizer: Tokenizer, folder: Path) -> Iterator[float]:
    """Seconds a million tokens, of some steps each time."""
    settings = _settings("bf16")
    model = make_network(tokenizer.get_vocab_size(), settings)
    frequencies = np.bincount(store.ids, minlength=tokenizer.get_vocab_size()) / len(store.ids)
    inputs = Inputs(store, continues(tokenizer), settings)
    loop = _Loop(Run(model, inputs, frequencies, settings, folder, _Alone(), 1e9, lambda _: None))  # type: ignore[arg-type]
    loop._next_pool(first=True)
    while True:
        for _ in range(_WARM):
            loop._step()
        before, began = loop.state.tokens, time.perf_counter()
        for _ in range(_STEPS):
            loop._step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        yield 1e6 * (time.perf_counter() - began) / (loop.state.tokens - before)


def compare(
    documents: Mapping[str, list[list[str]]], plain_precision: str, rows: int, pairs: int, folder: Path
) -> Comparison:
    """Seconds a million tokens of both sides."""
    tokenizer = Tokenizer.from_file(str(starter_folder() / "model" / "tokenizer.json"))
    store = store_of(documents, tokenizer)
    settings = _settings("bf16")
    fast = ours(store, tokenizer, folder)
    plain = Plain(store, wrapped(tokenizer, settings.lengths[-1]), rows, plain_precision, str(folder / "trainer"))
    found: tuple[list[float], list[float]] = ([], [])
    alternate(lambda: found[0].append(next(fast)), lambda: found[1].append(plain.run()), pairs=pairs, warmup=1)
    return Comparison(tuple(found[0][1:]), tuple(found[1][1:]))


def main(arguments: list[str] | None = None) -> None:
    """Print the machine and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--langs", default="en")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=_ROWS)
    parser.add_argument("--plain-precision", choices=["bf16", "float32"], default="bf16")
    given = parser.parse_args(arguments)
    logging.set_verbosity_error()
    print(describe())
    with TemporaryDirectory() as folder:
        documents = documents_of(given.text, given.langs.split(","))
        found = compare(documents, given.plain_precision, given.rows, given.pairs, Path(folder))
    print(found.line(f"a million tokens of pretraining, plain in {given.plain_precision}", theirs="Trainer"))


if __name__ == "__main__":
    main()
