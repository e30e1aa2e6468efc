"""From the folder of text to the tokenizer and the token ids, free of evaluation sentences; once for an out folder.

OUT/prepared/tokenizer.json, tokens.safetensors, facts.json
"""

from __future__ import annotations

import shutil
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from mlsg import console
from mlsg.cache.files import sync
from mlsg.errors import DataError
from mlsg.pretraining.corpora import Folder, TextFile, read_pairs, read_text
from mlsg.pretraining.evaluation import EvaluationTexts, evaluation_texts
from mlsg.pretraining.settings import PretrainSettings
from mlsg.pretraining.store import Store, load_store, save_store
from mlsg.pretraining.tokenizer import UNK, token_ids, train_tokenizer
from mlsg.text.normalise import normalise

_NAME = "prepared"


@dataclass
class _Text:
    """All that was read, and what of it was left out."""

    documents: dict[str, list[list[str]]] = field(default_factory=dict)
    singles: dict[str, list[str]] = field(default_factory=dict)
    pairs: list[tuple[str, str, str, str]] = field(default_factory=list)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)

    def lines(self, lang: str) -> list[str]:
        return [line for document in self.documents[lang] for line in document] + self.singles[lang]


def prepare_text(
    folder: Folder, out: Path, data_root: Path | None, settings: PretrainSettings
) -> tuple[Store, Tokenizer]:
    """The token ids of the folder and the tokenizer, made or found again in `out`. Raises DataError."""
    final = out / _NAME
    if not final.is_dir():
        partial = out / f".{_NAME}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _make(folder, partial, data_root, settings)
        partial.rename(final)
        sync(out)
    return load_store(final), Tokenizer.from_file(str(final / "tokenizer.json"))


def _make(folder: Folder, into: Path, data_root: Path | None, settings: PretrainSettings) -> None:
    text = _read(folder, evaluation_texts(data_root))
    for name, counts in text.dropped.items():
        if counts:
            parts = ", ".join(f"{part} {count}" for part, count in counts.most_common())
            console.note(f"{name}: {counts.total()} lines dropped, in --data-root too ({parts})")
    console.note("training the tokenizer")
    lines = {lang: text.lines(lang) for lang in text.documents}
    tokenizer = train_tokenizer(lines, size=settings.vocabulary, share=settings.tokenizer_share, seed=settings.seed)
    tokenizer.save(str(into / "tokenizer.json"))
    save_store(into, _store(folder, text, tokenizer, checked=data_root is not None))


def _read(folder: Folder, evaluation: EvaluationTexts) -> _Text:
    text = _Text()
    with console.progress("reading", len(folder.texts) + len(folder.pairs), "files") as bar:
        for file in folder.texts:
            dropped = text.dropped[file.path.name] = Counter()
            documents, singles = read_text(file)
            kept = [_kept(document, evaluation, dropped) for document in documents]
            text.documents.setdefault(file.lang, []).extend(document for document in kept if document)
            text.singles.setdefault(file.lang, []).extend(_kept(singles, evaluation, dropped))
            bar.advance()
        for file in folder.pairs:
            text.pairs += _kept_pairs(file, folder.languages, evaluation, text.dropped)
            bar.advance()
    for lang in text.documents:
        if not text.documents[lang] and not text.singles[lang]:
            raise DataError(f"no line of {lang} is left without evaluation sentences", "give other text")
    return text


def _kept(lines: Sequence[str], evaluation: EvaluationTexts, dropped: Counter[str]) -> list[str]:
    kept = []
    for line in map(normalise, lines):
        where = evaluation.where(line)
        if where:
            dropped[where] += 1
        elif line:
            kept.append(line)
    return kept


def _kept_pairs(
    file: TextFile, languages: Sequence[str], evaluation: EvaluationTexts, all_dropped: dict[str, Counter[str]]
) -> list[tuple[str, str, str, str]]:
    dropped = all_dropped[file.path.name] = Counter()
    kept = []
    for first, second, one, other in read_pairs(file):
        if first not in languages or second not in languages:
            continue
        stored = normalise(one), normalise(other)
        where = evaluation.where(stored[0]) or evaluation.where(stored[1])
        if where:
            dropped[where] += 1
        elif all(stored):
            kept.append((first, second, *stored))
    return kept


def _store(folder: Folder, text: _Text, tokenizer: Tokenizer, *, checked: bool) -> Store:
    languages = tuple(sorted(text.documents))
    kind = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    parts: list[np.ndarray] = []
    lengths = array("q")
    documents, facts = {}, {}
    with console.progress("tokens", len(languages) + 1, "languages") as bar:
        for lang in languages:
            begun, single = len(lengths), text.singles[lang]
            sizes = [len(document) for document in text.documents[lang]]
            documents[lang] = begun + np.cumsum([0, *sizes, len(single)], dtype=np.int64)
            facts[lang] = _append(parts, lengths, tokenizer, text.lines(lang), kind)
            bar.advance()
        pairs = len(lengths)
        both = [side for row in text.pairs for side in row[2:]]
        translations = _append(parts, lengths, tokenizer, both, kind)
        bar.advance()
    number = {lang: place for place, lang in enumerate(languages)}
    return Store(
        np.concatenate(parts),
        np.concatenate(([0], np.cumsum(np.array(lengths, dtype=np.int64)))),
        documents,
        pairs,
        np.array([(number[row[0]], number[row[1]]) for row in text.pairs], dtype=np.int64).reshape(-1, 2),
        languages,
        {
            "files": folder.hashes,
            "evaluation_checked": checked,
            "dropped": {name: dict(counts) for name, counts in text.dropped.items()},
            "text": facts,
            "translations": {**translations, "rows": len(text.pairs)},
        },
    )


def _append(
    parts: list[np.ndarray], lengths: array[int], tokenizer: Tokenizer, lines: Sequence[str], kind: type[np.generic]
) -> Mapping[str, Any]:
    """Add lines to the store; returns how many there are, their tokens and how many of these are [UNK]."""
    flat = array("I")
    for ids in token_ids(tokenizer, lines):
        flat.extend(ids)
        lengths.append(len(ids))
    made = np.frombuffer(flat, dtype=np.uint32).astype(kind) if flat else np.zeros(0, kind)
    parts.append(made)
    return {"lines": len(lines), "tokens": len(made), "unknown": int((made == UNK).sum())}
