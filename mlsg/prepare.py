"""`prepare`: text -> sentences to train on, in one pass and with flat memory.

    sentences/<lang>-<corpus>-<key>/sentences.txt    one sentence a line, UTF-8, LF, in the order of the source

Every line is put into its stored form; then the first of these reasons drops it: empty, too_short, too_long,
no_letters, evaluation (it is a sentence of an evaluation set, in `mlsg.text.matching`'s form; a corpus declared
transductive holds them on purpose and keeps them), near_evaluation (on demand: only white space or final punctuation
differs) and duplicate (a corpus of repetitions keeps them). Where a limit is set, a sample of what is left is taken;
of a corpus that is streamed from the hub no more is read than it needs (`mlsg.hub.stream`).
What is not done: no other near-duplicates are found, and no language is identified.

A row may also be a pair or a triplet of sentences, with a TAB between them, or a document (`prepare.kind`).

The text is compared with the sets of all languages that have their files here, and with those of its own language that
are on the hub; what else is on the hub is compared when it is evaluated (`mlsg.evaluate.leakage`), so that no download
of that time changes the text. The facts of the artefact say how many lines were read, kept and dropped for which
reason; for each evaluation set how many of its sentences the source held, and how many lines of them were dropped or
kept; which sets could not be checked, and which are compared later.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsg import console
from mlsg.cache.artefact import Artefact, Request
from mlsg.config.catalog import Corpus, PairSet
from mlsg.config.recipes import COLUMNS, Kind, PrepareSettings, Recipe
from mlsg.config.settings import table_of
from mlsg.context import Context
from mlsg.data.comparison import evaluation_sentences
from mlsg.data.corpora import StreamedTexts, stream_corpus
from mlsg.data.pairs import LocatedSet, MissingSet, locate_set
from mlsg.data.sources import AS_NAMED, Columns, Reading, columns_of, fingerprint_sources, stream_sources
from mlsg.errors import DataError, SettingError
from mlsg.hub import RowStream
from mlsg.text.evaluation import EvaluationSentences
from mlsg.text.filter import FilterCounts, LineFilter, batches, filter_texts
from mlsg.text.matching import match_forms
from mlsg.text.normalise import normalise
from mlsg.text.rows import filter_documents, filter_rows
from mlsg.text.split import has_ended, read_shards, read_while_written, split, splitter, stored_lines, write_shards

STAGE = "sentences"
FORMAT = 2
FILE = "sentences.txt"


@dataclass(frozen=True)
class _PrepareJob:
    """What is to be prepared, with everything from outside found and named. `texts` is not read yet."""

    settings: PrepareSettings
    corpus: Corpus
    fingerprints: Mapping[str, str]
    texts: Iterator[str]
    located: Sequence[LocatedSet]
    missing: Mapping[str, str]
    later: Sequence[str]
    context: Context

    @property
    def rows_at_once(self) -> int:
        """0, or of texts that are a sample from the hub, which is read no further than the limit asks: its steps."""
        return self.texts.sample.rows if isinstance(self.texts, StreamedTexts) and self.texts.sample else 0

    @property
    def opened(self) -> RowStream | None:
        """The stream that the texts come from, where it was needed."""
        return self.texts.opened if isinstance(self.texts, StreamedTexts) else None

    @property
    def request(self) -> Request:
        """What the corpus declares is in the settings; the seed only where a sample is taken."""
        settings = table_of(self.settings)
        if not self.settings.limit:
            settings.pop("seed")
        if self.settings.kind == "sentences":
            settings.pop("kind")
        for name in ("back_translate", "beams"):  # of what is made of the sentences
            settings.pop(name)
        declared = {
            "corpus": self.corpus.name,
            "documents": self.corpus.documents,
            "repetitions": self.corpus.repetitions,
            "transductive": list(self.corpus.transductive),
        }
        sets = {f"set {each.pair_set.name}": each.text for each in self.located}
        tools = {"splitter": splitter()} if self.corpus.documents or self.settings.kind == "documents" else {}
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
    column: Columns | None = None,
    reading: Reading = AS_NAMED,
) -> Artefact:
    """Return the sentences of `recipe.prepare`, from its corpus or from the user's own files.

    Raises SettingError for an unknown language or corpus and for limits that exclude one another, DataError for text
    that cannot be read or of which nothing is left, HubUnreachableError.
    """
    settings = recipe.prepare
    if settings.min_chars > settings.max_chars:
        problem = f"prepare.min_chars is {settings.min_chars} and prepare.max_chars {settings.max_chars}"
        raise SettingError(problem, "let the first be the smaller")
    if settings.drop_near and not settings.drop_evaluation:
        raise SettingError("prepare.drop_near without prepare.drop_evaluation", "set both, or neither")
    catalog, data_root, hub = context.catalog, context.data_root, context.hub
    language = catalog.language(settings.lang)
    column = _checked_columns(settings.kind, column)
    if sources:
        corpus = Corpus("files", settings.lang, licence="of the user's own files")
        fingerprints = fingerprint_sources(sources, column, reading)
        texts = stream_sources(sources, column, reading)
    else:
        corpus = language.corpus(settings.corpus)
        _check_corpus(corpus, settings.kind)
        fingerprint, texts = stream_corpus(corpus, data_root, hub, settings.limit, settings.seed)
        fingerprints = {"corpus": fingerprint}
    sets = catalog.all_sets() if settings.drop_evaluation else []
    # Whether `mlsg eval` takes a set by default or not; those of the text's language first.
    wanted = [each for each in sets if each.split != "train"]
    wanted.sort(key=lambda each: settings.lang not in each.languages)
    found = [_locate(each, settings.lang, context) for each in wanted]
    located = [each for each in found if isinstance(each, LocatedSet)]
    missing = {each.pair_set.name: _reason(each, data_root) for each in found if isinstance(each, MissingSet)}
    later = [each.name for each in found if isinstance(each, PairSet)]
    job = _PrepareJob(settings, corpus, fingerprints, texts, located, missing, later, context)
    return context.workspace.build(job.request, partial(_build, job), recipe=table_of(recipe))


def sentences_file(artefact: Artefact) -> Path:
    """Return the file of sentences, one a line."""
    return artefact.folder / FILE


def text_sha256(artefact: Artefact) -> str:
    """Return what identifies the sentences to all that is made of them, whatever they were compared with."""
    sha256: str = artefact.manifest["files"][FILE]["sha256"]
    return sha256


def stream_sentences(artefact: Artefact) -> Iterator[str]:
    """Yield all sentences in their order."""
    return stored_lines(sentences_file(artefact))


def sample_rows(total: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return a seeded sample of `size` of the rows 0..total-1, in rising order, or all: (min(size, total),).

    It is the same on every machine: every row draws a 64-bit number from PCG64, whose stream numpy guarantees, and the
    rows with the smallest numbers are taken. So each sample of a size is equally likely, and a larger one of the same
    seed holds the smaller ones.
    """
    if size >= total:
        return np.arange(total)
    entropy = int.from_bytes(hashlib.sha256(f"mlsg sample {seed}".encode()).digest(), "big")
    draws = np.random.PCG64(entropy).random_raw(total)
    return np.sort(np.argsort(draws, kind="stable")[:size])


def count_forms(path: Path, forms: Set[str]) -> Counter[str]:
    """Return how often a file of sentences holds each of the evaluation sentences that has one of these match forms."""
    count = Counter[str]()
    for batch in batches(stored_lines(path)):
        texts = batch.replace("\t", "\n").split("\n")  # of pairs and triplets each sentence by itself
        count.update(form for form in match_forms(texts) if form in forms)
    return count


def _checked_columns(kind: Kind, column: Columns | None) -> Columns:
    """Return the columns of a kind of text. Raises SettingError for another number than it has."""
    wanted = COLUMNS[kind]
    given = wanted if column is None else columns_of(column)
    if len(given) != len(wanted):
        triplet, scored = "three: anchor, positive, hard negative", "three: both sentences and the score"
        one = {"pairs": "two", "triplets": triplet, "scored_pairs": scored}.get(kind, "one")
        problem = f'prepare.kind = "{kind}" with {len(given)} columns ({", ".join(given)})'
        raise SettingError(problem, f"name {one}, --column once for each")
    return given


def _check_corpus(corpus: Corpus, kind: Kind) -> None:
    """Raise SettingError for a corpus whose rows cannot be of this kind."""
    found = {len(each.columns) for each in corpus.files} | {len(each.columns) for each in corpus.hub}
    if len(COLUMNS[kind]) > 1 and found != {len(COLUMNS[kind])}:
        problem = f"corpus {corpus.name} has {' or '.join(map(str, sorted(found)))} columns, not those of {kind}"
        raise SettingError(problem, f"name another corpus, or declare its columns: {', '.join(COLUMNS[kind])}")


def _locate(pair_set: PairSet, lang: str, context: Context) -> LocatedSet | MissingSet | PairSet:
    """Where a set is; itself, where it is of another language and on the hub."""
    if lang in pair_set.languages or pair_set.hub is None:
        return locate_set(pair_set, context.data_root, context.hub)
    found = locate_set(replace(pair_set, hub=None), context.data_root, context.hub)
    if isinstance(found, LocatedSet):
        return found
    return pair_set


def _reason(missing: MissingSet, data_root: Path | None) -> str:
    """Return why a set is missing, without the paths of this machine, which an artefact does not hold."""
    reason = missing.why.replace(str(data_root), "--data-root")
    return reason.replace(missing.pair_set.root, "its TOML") if Path(missing.pair_set.root).is_absolute() else reason


def _build(job: _PrepareJob, folder: Path, scratch: Path) -> Mapping[str, Any]:
    evaluation, unreadable = evaluation_sentences(job.located, job.context.workspace, job.context.hub)
    settings, kept = job.settings, bool(job.corpus.transductive)
    documents = job.corpus.documents and settings.kind == "sentences"
    near = EvaluationSentences() if kept or not settings.drop_near else evaluation.near()
    line_filter = LineFilter(
        settings.min_chars,
        settings.max_chars,
        frozenset() if kept else evaluation.forms,
        job.corpus.repetitions,
        stored=documents,
        near=near.forms,
    )
    texts = _split(job, scratch / "shards") if documents else iter(job.texts)
    counts = FilterCounts()
    unsampled = scratch / "unsampled.txt"
    enough = settings.limit if job.rows_at_once else None
    with console.progress("prepare", enough, "sentences") as bar, unsampled.open("wb") as file:
        shown = 0
        for lines in _filtered(job, line_filter, texts, counts, 10 * enough if enough else None):
            file.write(b"\n".join((*lines, b"")))
            now = counts.kept if enough else counts.read
            bar.advance(now - shown, kept=counts.kept)
            shown = now
            if enough and counts.kept >= enough:
                break
    if not counts.kept:
        raise _nothing_kept(job, counts)
    size = _sample(unsampled, folder / FILE, counts.kept, settings)
    evaluation.found(count_forms(folder / FILE, evaluation.forms) if kept else counts.found)
    near.found(counts.near)
    compared = {"evaluation": _compared(job, evaluation, near), "not_checked": {**job.missing, **unreadable}}
    facts = {**_facts(job, counts, size), **compared, "compared_later": list(job.later)}
    if enough and job.opened and not has_ended(scratch / "shards"):
        facts["read_rows"] = [asdict(taken) for taken in job.opened.taken if taken.rows]
    return facts


def _filtered(
    job: _PrepareJob, line_filter: LineFilter, texts: Iterator[str], counts: FilterCounts, characters: int | None
) -> Iterator[Sequence[bytes]]:
    """Yield the rows that are kept, in batches."""
    if job.settings.kind == "sentences":
        return filter_texts(line_filter, texts, counts, characters)
    if job.settings.kind == "documents":
        return filter_documents(line_filter, texts, lambda document: split(document, job.settings.lang), counts)
    columns, scored = len(COLUMNS[job.settings.kind]), job.settings.kind == "scored_pairs"
    return filter_rows(line_filter, zip(*[texts] * columns, strict=True), counts, scored=scored)


def _split(job: _PrepareJob, shards: Path) -> Iterator[str]:
    """Split all documents into shards, as far as that is not done; return their sentences in stored form."""

    def sentences(document: str) -> Iterable[str]:
        return map(normalise, split(document, job.settings.lang))

    if job.rows_at_once:
        return read_while_written(write_shards(job.texts, sentences, shards, job.rows_at_once), shards)
    written = write_shards(job.texts, sentences, shards)
    done = next(written)
    with console.progress("split", job.opened.total if job.opened else None, "documents", done=done) as bar:
        for now in written:
            bar.advance(now - done)
            done = now
    return read_shards(shards)


def _sample(unsampled: Path, target: Path, total: int, settings: PrepareSettings) -> int:
    """Move all sentences, or a sample of them, to `target`; returns how many these are."""
    if not settings.limit or total <= settings.limit:
        unsampled.rename(target)
        return total
    chosen = iter(sample_rows(total, settings.limit, settings.seed))
    row = next(chosen)
    with target.open("w", encoding="utf-8", newline="\n") as file:
        for number, sentence in enumerate(stored_lines(unsampled)):
            if number == row:
                file.write(f"{sentence}\n")
                row = next(chosen, None)
    return settings.limit


def _facts(job: _PrepareJob, counts: FilterCounts, size: int) -> dict[str, Any]:
    return {
        "lang": job.settings.lang,
        "corpus": job.corpus.name,
        "licence": job.corpus.licence,
        "repetitions": job.corpus.repetitions,
        "transductive": list(job.corpus.transductive),
        "read": counts.read,
        "kept": size,
        "dropped": {reason: counts.dropped[reason] for reason in sorted(counts.dropped)},
        "not_sampled": counts.kept - size,
        "checked": job.settings.drop_evaluation,
        **({} if job.settings.kind == "sentences" else {"kind": job.settings.kind}),
    }


def _compared(job: _PrepareJob, evaluation: EvaluationSentences, near: EvaluationSentences) -> dict[str, Any]:
    """Of each set what was found of it, and which bytes of the set these are."""
    kept = "kept" if job.corpus.transductive else "dropped"
    found, nearly = evaluation.counts(), near.counts()
    table: dict[str, Any] = {}
    for name, text in ((each.pair_set.name, each.text) for each in job.located if each.pair_set.name in found):
        lines, held, sentences = found[name]
        table[name] = {"sentences": sentences, "found": held, "kept": 0, "dropped": 0, kept: lines}
        if name in nearly:
            table[name]["near"] = nearly[name].lines
        table[name]["fingerprint"] = text
    return table


def _nothing_kept(job: _PrepareJob, counts: FilterCounts) -> DataError:
    where = f"corpus {job.corpus.name} of language {job.settings.lang}"
    if not counts.read:
        return DataError(f"{where} holds no text", "name another corpus or file")
    reasons = ", ".join(f"{counts.dropped[reason]} {reason.replace('_', ' ')}" for reason in sorted(counts.dropped))
    remedy = "look at the text, or change --set prepare.min_chars or prepare.max_chars"
    if counts.found:
        remedy = "give text without evaluation sentences, or keep them: --set prepare.drop_evaluation=false"
    return DataError(f"none of the {counts.read} lines of {where} is left ({reasons})", remedy)
