"""`prepare`: text -> sentences to train on, in one pass and with flat memory.

    sentences/<lang>-<corpus>-<key>/sentences.txt    one sentence a line, UTF-8, LF, in the order of the source

Every line is put into its stored form; then the first of these reasons drops it: empty, too_short, too_long,
no_letters, evaluation (it is a sentence of an evaluation set of this language; a corpus declared transductive holds
them on purpose and keeps them) and duplicate (a corpus of repetitions keeps them). Where a limit is set, a sample of
what is left is taken. What is not done: no near-duplicates are found, and no language is identified.

The facts of the artefact say how many lines were read, kept and dropped for which reason; for each evaluation set how
many of its sentences the source held, and how many lines of them were dropped or kept; which sets could not be checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlsg import console
from mlsg.cache.artefact import Artefact, Request
from mlsg.config.catalog import Catalog, Corpus
from mlsg.config.recipes import PrepareSettings, Recipe
from mlsg.config.settings import table_of
from mlsg.context import Context
from mlsg.data.corpora import stream_corpus
from mlsg.data.pairs import LocatedSet, MissingSet, locate_set, read_pairs
from mlsg.data.sources import fingerprint_sources, stream_sources
from mlsg.errors import DataError, SettingError
from mlsg.hub import Hub
from mlsg.text.evaluation import EvaluationSentences
from mlsg.text.filter import LineFilter, pieces
from mlsg.text.kept import Tally, kept_lines
from mlsg.text.normalise import match_forms, normalise
from mlsg.text.sample import sample_rows
from mlsg.text.shards import read_shards, write_shards
from mlsg.text.split import split, splitter
from mlsg.text.workers import processes_at_hand

STAGE = "sentences"
FORMAT = 1
FILE = "sentences.txt"

_OWN_FILES = "files"
_NAMED = 6
"""Sets that could not be had and are named on the screen."""


@dataclass(frozen=True)
class _Order:
    """What is to be prepared, with everything from outside found and named. `texts` is not read yet."""

    settings: PrepareSettings
    corpus: Corpus
    fingerprints: Mapping[str, str]
    texts: Iterator[str]
    located: Sequence[LocatedSet]
    absent: Mapping[str, str]
    hub: Hub
    processes: int

    @property
    def request(self) -> Request:
        """What the corpus declares is in the settings; the seed only where a sample is taken; never `processes`."""
        settings = table_of(self.settings)
        if not self.settings.limit:
            settings.pop("seed")
        declared = {
            "corpus": self.corpus.name,
            "documents": self.corpus.documents,
            "repetitions": self.corpus.repetitions,
            "transductive": list(self.corpus.transductive),
        }
        sets = {f"set {each.pair_set.name}": each.fingerprint for each in self.located}
        tools = {"splitter": splitter()} if self.corpus.documents else {}
        return Request(
            stage=STAGE,
            format=FORMAT,
            name=f"{self.settings.lang}-{self.corpus.name}",
            settings={**settings, **declared},
            inputs={},
            fingerprints={**self.fingerprints, **sets, **tools},
        )


def prepare(
    recipe: Recipe,
    context: Context,
    *,
    sources: Sequence[Path] = (),
    column: str = "text",
    processes: int = 0,
) -> Artefact:
    """Return the sentences of `recipe.prepare`, from its corpus or from the user's own files.

    Much text is cleaned by as many `processes` (0: as pay on this machine); the result does not depend on it.
    Raises SettingError for an unknown language or corpus and for limits that exclude one another, DataError for text
    that cannot be read or of which nothing is left, HubUnreachableError.
    """
    settings, processes = recipe.prepare, processes or processes_at_hand()
    if settings.min_chars > settings.max_chars:
        problem = f"prepare.min_chars is {settings.min_chars} and prepare.max_chars {settings.max_chars}"
        raise SettingError(problem, "let the first be the smaller")
    catalog, data_root, hub = context.catalog, context.data_root, context.hub
    language = catalog.language(settings.lang)
    if sources:
        corpus = Corpus(_OWN_FILES, settings.lang, licence="of the user's own files")
        fingerprints, texts = fingerprint_sources(sources, column), stream_sources(sources, column)
    else:
        corpus = language.corpus(settings.corpus)
        fingerprint, texts = stream_corpus(corpus, data_root, hub)
        fingerprints = {"corpus": fingerprint}
    found = _evaluation_sets(settings, catalog, data_root, hub)
    located = [each for each in found if isinstance(each, LocatedSet)]
    absent = {each.pair_set.name: _why(each, data_root) for each in found if isinstance(each, MissingSet)}
    order = _Order(settings, corpus, fingerprints, texts, located, absent, hub, processes)
    return context.workspace.build(order.request, partial(_make, order), recipe=table_of(recipe))


def sentences_file(artefact: Artefact) -> Path:
    """Return the file of sentences, one a line."""
    return artefact.folder / FILE


def stream_sentences(artefact: Artefact) -> Iterator[str]:
    """Yield all sentences in their order."""
    return _lines(sentences_file(artefact))


def read_sentences(artefact: Artefact) -> list[str]:
    """Return all sentences in their order."""
    return list(stream_sentences(artefact))


def summary_rows(artefact: Artefact) -> list[tuple[str, str]]:
    """Return what people want to know of prepared sentences, as names and values."""
    facts = artefact.facts
    rows = [
        ("sentences", f"{facts['kept']:,} of {facts['read']:,} read"),
        ("corpus", f"{facts['lang']}, {facts['corpus']}{', repetitions kept' if facts['repetitions'] else ''}"),
        ("licence", facts["licence"]),
        *((f"dropped, {reason.replace('_', ' ')}", f"{count:,}") for reason, count in facts["dropped"].items()),
    ]
    if facts["not_sampled"]:
        rows.append(("left out by the limit", f"{facts['not_sampled']:,}"))
    return rows + (_evaluation_rows(facts) if facts["checked"] else [("evaluation sets", "not checked, by setting")])


def _evaluation_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = {name: counts for name, counts in facts["evaluation"].items() if counts["found"]}
    fate = f"kept, transductive: {', '.join(facts['transductive'])}" if facts["transductive"] else "dropped"
    rows = [("evaluation sets", f"{len(facts['evaluation'])} checked, sentences of {len(found)} found")]
    if found:
        shares = [f"{name} {counts['found']:,} of {counts['sentences']:,}" for name, counts in found.items()]
        rows.append((f"found and {fate}", "; ".join(shares)))
    missing = facts["not_checked"]
    if missing:
        named, others = list(missing)[:_NAMED], len(missing) - _NAMED
        names = ", ".join(named) + (f" and {others} more, which artefact.json names" if others > 0 else "")
        rows.append(("sets not checked", f"{names} ({next(iter(missing.values()))})"))
    return rows


def _evaluation_sets(
    settings: PrepareSettings, catalog: Catalog, data_root: Path | None, hub: Hub
) -> list[LocatedSet | MissingSet]:
    """Return every set that holds the language, whether `mlsg eval` takes it or not, but for train splits."""
    if not settings.drop_evaluation:
        return []
    sets = catalog.all_sets()
    wanted = [each for each in sets if settings.lang in each.languages and each.split != "train"]
    return [locate_set(each, data_root, hub) for each in wanted]


def _why(absent: MissingSet, data_root: Path | None) -> str:
    """Return why a set is absent, without the paths of this machine, which an artefact does not hold."""
    why = absent.why.replace(str(data_root), "--data-root")
    return why.replace(absent.pair_set.root, "its TOML") if Path(absent.pair_set.root).is_absolute() else why


def _make(order: _Order, folder: Path, scratch: Path) -> Mapping[str, Any]:
    evaluation = _evaluation_sentences(order)
    settings, documents = order.settings, order.corpus.documents
    forms = frozenset[str]() if order.corpus.transductive else evaluation.forms
    sieve = LineFilter(settings.min_chars, settings.max_chars, forms, order.corpus.repetitions, stored=documents)
    texts = _split(order, scratch / "shards") if documents else order.texts
    tally = Tally()
    left = scratch / "left.txt"
    batches = closing(kept_lines(sieve, texts, tally, order.processes))
    with console.progress("prepare", None, "sentences") as bar, left.open("wb") as file, batches as kept:
        read = 0
        for lines in kept:
            file.write(b"\n".join((*lines, b"")))
            bar.advance(tally.read - read, kept=tally.kept)
            read = tally.read
    if not tally.kept:
        raise _nothing_left(order, tally)
    size = _sample(left, folder / FILE, tally.kept, settings)
    evaluation.found(_held(folder / FILE, evaluation.forms) if order.corpus.transductive else tally.found)
    return _facts(order, evaluation, tally, size)


def _held(path: Path, forms: Set[str]) -> Counter[str]:
    """Return how often a file of sentences holds each of the evaluation sentences."""
    held = Counter[str]()
    for piece in pieces(_lines(path)):
        held.update(form for form in match_forms(piece.split("\n")) if form in forms)
    return held


def _evaluation_sentences(order: _Order) -> EvaluationSentences:
    sentences = EvaluationSentences()
    for located in order.located:
        pairs = read_pairs(located, order.hub)
        for lang, side in zip(located.pair_set.languages, (pairs.first, pairs.second), strict=True):
            if lang == order.settings.lang:
                sentences.add(pairs.name, side)
    return sentences


def _split(order: _Order, shards: Path) -> Iterator[str]:
    """Split all documents into shards, as far as that is not done; return their sentences in stored form."""

    def sentences(document: str) -> Iterable[str]:
        return map(normalise, split(document, order.settings.lang))

    with console.progress("split", None, "documents") as bar:
        done = 0
        for now in write_shards(order.texts, sentences, shards):
            bar.advance(now - done)
            done = now
    return read_shards(shards)


def _sample(left: Path, target: Path, total: int, settings: PrepareSettings) -> int:
    """Move what is left, or a sample of it, to `target`; returns how many sentences that are."""
    if not settings.limit or total <= settings.limit:
        left.rename(target)
        return total
    chosen = iter(sample_rows(total, settings.limit, settings.seed))
    row = next(chosen)
    with target.open("w", encoding="utf-8", newline="\n") as file:
        for number, sentence in enumerate(_lines(left)):
            if number == row:
                file.write(f"{sentence}\n")
                row = next(chosen, None)
    return settings.limit


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.removesuffix("\n")


def _facts(order: _Order, evaluation: EvaluationSentences, tally: Tally, size: int) -> dict[str, Any]:
    kept = "kept" if order.corpus.transductive else "dropped"
    return {
        "lang": order.settings.lang,
        "corpus": order.corpus.name,
        "licence": order.corpus.licence,
        "repetitions": order.corpus.repetitions,
        "transductive": list(order.corpus.transductive),
        "read": tally.read,
        "kept": size,
        "dropped": {reason: tally.dropped[reason] for reason in sorted(tally.dropped)},
        "not_sampled": tally.kept - size,
        "checked": order.settings.drop_evaluation,
        "evaluation": {
            name: {"sentences": counts.sentences, "found": counts.found, "kept": 0, "dropped": 0, kept: counts.lines}
            for name, counts in evaluation.counts().items()
        },
        "not_checked": dict(order.absent),
    }


def _nothing_left(order: _Order, tally: Tally) -> DataError:
    where = f"corpus {order.corpus.name} of language {order.settings.lang}"
    if not tally.read:
        return DataError(f"{where} holds no text", "name another corpus or file")
    reasons = ", ".join(f"{tally.dropped[reason]} {reason.replace('_', ' ')}" for reason in sorted(tally.dropped))
    remedy = "look at the text, or change --set prepare.min_chars or prepare.max_chars"
    return DataError(f"none of the {tally.read} lines of {where} is left ({reasons})", remedy)
