"""The `sts` suite: Spearman of cosines with human scores, language by language, monolingual and cross-lingual.

A set that is not available now is not part of any key: it is listed as skipped each time, with the reason of that time.
A base that is not available leaves its baselines null; scores that were once made with it are still found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlsg import console
from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.files import read_json, readable_json
from mlsg.cache.versions import vector_versions
from mlsg.config.catalog import Catalog, PairSet
from mlsg.config.recipes import EvalSettings
from mlsg.config.settings import shown, table_of
from mlsg.context import Context
from mlsg.data.pairs import GradedPairs, LocatedSet, MissingSet, locate_set, read_pairs
from mlsg.errors import HubUnreachableError, ModelError, SettingError, nearest
from mlsg.evaluate.baselines import BaseUnavailableError, bases_of, is_spaced, word_baselines
from mlsg.evaluate.cosines import ENCODER, SetCosines, distinct_sentences, score_pairs, write_cosines
from mlsg.evaluate.encoder_ref import EncoderRef
from mlsg.evaluate.encoding import encode_sentences
from mlsg.evaluate.leakage import transductive
from mlsg.evaluate.means import drawn_together, mean_score, resampling, rows_of
from mlsg.evaluate.results import EncoderEntry, MeanScore, Scores, SetScore, Skipped
from mlsg.evaluate.rows import sets_apart
from mlsg.evaluate.statistics import Resampled, pearson, resampled, spearman, why_undefined
from mlsg.hub import Hub
from mlsg.report.card import CARD, card
from mlsg.report.tables import BASELINES

FORMAT = 4
_SETS = "sets.json"


@dataclass(frozen=True)
class Selection:
    """The sets of the asked languages: which are available, which are not, which stands for each language."""

    located: tuple[LocatedSet, ...]
    skipped: tuple[Skipped, ...]
    primaries: Mapping[str, str | None]


def select_sets(settings: EvalSettings, catalog: Catalog, data_root: Path | None, hub: Hub) -> Selection:
    """Look up and locate the sets of `settings.langs`, in that order, each once; nothing is parsed.

    Raises SettingError for an unknown language and HubUnreachableError when no set at all is available.
    """
    chosen: dict[str, PairSet] = {}
    primaries: dict[str, str | None] = {}
    for code in dict.fromkeys(settings.langs):
        sets = catalog.sets_of(code, settings.family)
        monolingual = [each for each in sets if each.languages == (code, code)]
        primaries[code] = next((each.name for each in [*monolingual, *sets]), None)
        asked = {primaries[code] if name == "primary" else name for name in settings.sets}
        chosen.update({each.name: each for each in sets if not asked or each.name in asked})
    _check_names(settings, catalog)
    places = [locate_set(each, data_root, hub) for each in chosen.values()]
    located = tuple(place for place in places if isinstance(place, LocatedSet))
    skipped = tuple(Skipped(place.pair_set.name, place.why) for place in places if isinstance(place, MissingSet))
    if not located:
        why = f" ({skipped[0].set}: {skipped[0].why})" if skipped else ""
        asked_for = f"of {', '.join(primaries)}" + (f" in family {settings.family}" if settings.family else "")
        remedy = "give their original files with --data-root, or run where the hub can be reached"
        raise HubUnreachableError(f"no pair set {asked_for} is available{why}", remedy)
    return Selection(located, skipped, primaries)


def _check_names(settings: EvalSettings, catalog: Catalog) -> None:
    """Raise SettingError for a name in `eval.sets` that is no set of the languages."""
    known = [each.name for code in settings.langs for each in catalog.sets_of(code, settings.family)]
    for name in settings.sets:
        if name != "primary" and name not in known:
            raise SettingError(f"unknown set {shown(name)} in eval.sets", nearest(name, [*known, "primary"]))


def evaluate(encoder: EncoderRef, settings: EvalSettings, context: Context) -> Scores:
    """Scores of one encoder on the sets of `settings.langs`; everything that was computed before is taken as it is."""
    selection = select_sets(settings, context.catalog, context.data_root, context.hub)
    evaluation = _Evaluation(encoder, settings, context, selection)
    try:
        artefact = evaluation.build(bases_of(encoder))
    except BaseUnavailableError as error:
        console.note(f"no base_cls and base_mean: {error}")
        artefact = evaluation.build({})
    return evaluation.read(artefact)


@dataclass(frozen=True)
class _Evaluation:
    """What is asked for, and how it is done."""

    encoder: EncoderRef
    settings: EvalSettings
    context: Context
    selection: Selection

    @cached_property
    def pairs(self) -> list[GradedPairs]:
        """Each set parsed, once for the encoder, its bases and the counting of words."""
        return [read_pairs(each, self.context.hub) for each in self.selection.located]

    @cached_property
    def transductive(self) -> dict[str, bool | None]:
        """By set: whether the training text holds its sentences."""
        return transductive(self.encoder, self.selection.located, self.context.workspace, self.context.hub)

    def build(self, bases: Mapping[str, EncoderRef]) -> Artefact:
        """The finished scores beside these bases. Raises BaseUnavailableError where they have to be loaded in vain."""
        encoder, settings, located = self.encoder, self.settings, self.selection.located
        languages = sorted({code for each in located for code in each.pair_set.languages})
        described = ("name", "base", "objective", "key", "pooling", "layer", "prompt", "prompt_name")
        request = Request(
            stage="scores",
            format=FORMAT,
            name=encoder.label,
            settings={
                "encoder": {name: getattr(encoder, name) for name in described},
                **{name: getattr(settings, name) for name in ("suite", "precision", "resamples", "seed")},
                "primaries": dict(self.selection.primaries),
                "transductive": self.transductive,
                "spaced": {code: is_spaced(code, self.context.catalog) for code in languages},
            },
            inputs=encoder.inputs,
            fingerprints={
                **encoder.fingerprints,
                **{role: base.key for role, base in bases.items()},
                **{f"set {each.pair_set.name}": each.fingerprint for each in located},
                **vector_versions(),
            },
        )
        return self.context.workspace.build(request, lambda folder, _scratch: self._make(folder, bases))

    def read(self, artefact: Artefact) -> Scores:
        """The scores in a finished artefact."""
        stored = read_json(artefact.folder / _SETS)
        sets = [SetScore.read(table) for table in stored["sets"]]
        return self._scores(artefact, EncoderEntry(**stored["encoder"]), sets, MeanScore.read(stored["mean"]))

    def _make(self, folder: Path, bases: Mapping[str, EncoderRef]) -> Mapping[str, Any]:
        encoder, selection = self.encoder, self.selection
        own_base = encoder.provenance is None and bool(encoder.pooling)  # a plain model: one pass makes all vectors
        also = tuple(bases.values())
        own, facts = self._cosines(encoder, also if own_base else ())
        found = {ENCODER: own}
        try:
            for role, base in bases.items():  # the first one's pass over the base makes the vectors of all
                found[role] = self._cosines(base, also)[0]
        except (ModelError, HubUnreachableError) as error:
            raise BaseUnavailableError(error.problem) from error
        draws = resampling(table_of(self.settings))
        drawn = {
            role: {
                name: resampled(each.cosine, each.gold, **draws)
                for name, each in sets.items()
                if role == ENCODER or name in selection.primaries.values()
            }
            for role, sets in found.items()
        }
        scores = [
            self._set_score(place, pairs, found, drawn[ENCODER][pairs.name])
            for place, pairs in zip(selection.located, self.pairs, strict=True)
        ]
        rows = rows_of(selection.primaries.values(), own)
        together = {role: drawn_together(drawn[role], found[role], rows, draws) for role in drawn}
        apart = sets_apart({each.pair_set.name: each.pair_set.texts for each in selection.located}, rows)
        mean = mean_score(selection.primaries, [together.pop(ENCODER)], together, apart)
        entry = EncoderEntry(
            encoder.name,
            encoder.base,
            encoder.objective,
            facts["pooling"],
            facts["dimension"],
            encoder.key,
            facts["prompt"] or None,
        )
        stored = {
            "encoder": asdict(entry),
            "sets": [asdict(score) for score in scores],
            "mean": None if mean is None else asdict(mean),
        }
        shown = self._scores(Artefact(folder, {}), entry, scores, mean)
        write_cosines(folder, found)
        (folder / _SETS).write_text(readable_json(stored), "utf-8")
        (folder / "scores.json").write_text(readable_json(shown.to_stored_dict()), "utf-8")
        if encoder.provenance is not None:
            (folder / CARD).write_text(card(encoder.provenance, shown), "utf-8")
        return {"spearman": {score["set"]: score["spearman"] for score in shown.to_stored_dict()["sets"]}}

    def _cosines(
        self, encoder: EncoderRef, also: tuple[EncoderRef, ...]
    ) -> tuple[dict[str, SetCosines], dict[str, Any]]:
        """The cosines by set, and what is known of the encoder; torch is imported only where sentences are new."""
        texts = distinct_sentences(self.pairs)
        workspace, hub = self.context.workspace, self.context.hub
        rows, facts = encode_sentences(encoder, texts, self.settings.precision, also=also, workspace=workspace, hub=hub)
        return score_pairs(texts, rows, self.pairs), facts

    def _set_score(
        self,
        place: LocatedSet,
        pairs: GradedPairs,
        found: Mapping[str, Mapping[str, SetCosines]],
        drawn: Resampled | None,
    ) -> SetScore:
        pair_set, own = place.pair_set, found[ENCODER][pairs.name]
        bases = {role: sets[pairs.name] for role, sets in found.items() if role != ENCODER}
        return SetScore(
            set=pair_set.name,
            languages=pair_set.languages,
            split=pair_set.split,
            pairs=len(own.gold),
            spearman=drawn.value if drawn else None,
            pearson=pearson(own.cosine, own.gold),
            interval=drawn.interval if drawn else None,
            truncated=own.truncated,
            unknown=own.unknown,
            made=pair_set.made,
            kind=pair_set.kind,
            transductive=self.transductive[pair_set.name],
            baselines={
                **dict.fromkeys(BASELINES),
                **{role: spearman(each.cosine, own.gold) for role, each in bases.items()},
                **word_baselines(pairs, pair_set.languages, self.context.catalog),
            },
            no_score="" if drawn else why_undefined(own.cosine, own.gold),
            dropped=pairs.dropped,
            origin=place.origin,
            revision=place.revision or None,
            sha256=place.sha256,
        )

    def _scores(self, artefact: Artefact, entry: EncoderEntry, sets: list[SetScore], mean: MeanScore | None) -> Scores:
        asked = (self.settings.suite, self.selection.primaries)
        return Scores(
            artefact,
            entry,
            *asked,
            sets,
            mean,
            skipped=self.selection.skipped,
            settings=table_of(self.settings),
            versions=artefact.manifest.get("versions", {}),  # none while it is being made
            seconds=artefact.manifest.get("seconds", 0.0),  # of the work, not of finding it done
        )
