"""The `sts` suite: Spearman of cosines with human scores, language by language, monolingual and cross-lingual.

Two stages: `cosines` needs the model (see `mlsg.evaluate.cosines`), `scores` is arithmetic over it. A set that cannot
be had now is no part of any key: it is listed as skipped each time, with the reason of that time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsg import console
from mlsg.cache.artefact import Artefact, Request
from mlsg.cache.files import read_json, readable_json
from mlsg.config.catalog import Catalog, PairSet
from mlsg.config.recipes import EvalSettings
from mlsg.config.settings import table_of
from mlsg.context import Context
from mlsg.data.pairs import LocatedSet, MissingSet, locate_set, read_pairs
from mlsg.errors import HubUnreachableError
from mlsg.evaluate.baselines import base_cosines, is_spaced, poolings_beside, word_baselines
from mlsg.evaluate.cosines import SetCosines, build_cosines, read_cosines, read_encoder_facts, set_fingerprints
from mlsg.evaluate.encoder_ref import EncoderRef
from mlsg.evaluate.means import mean_score, read_mean_score
from mlsg.evaluate.results import (
    BASELINES,
    EncoderEntry,
    MeanScore,
    ScoreSheet,
    SetScore,
    Skipped,
    rounded,
    stored_document,
)
from mlsg.evaluate.statistics import pearson, spearman, spearman_interval
from mlsg.report.card import CARD, card
from mlsg.report.tables import grids, legend, markdown

if TYPE_CHECKING:
    from mlsg.hub import Hub

FORMAT = 2
_SETS = "sets.json"


@dataclass(frozen=True)
class Scores:
    """One evaluated encoder: the finished artefact, the cosines below it, and the sheet that tables and JSON show."""

    artefact: Artefact
    cosines: Artefact
    sheet: ScoreSheet


@dataclass(frozen=True)
class Selection:
    """The sets of the asked languages: which can be had, which cannot, which stands for each language."""

    located: tuple[LocatedSet, ...]
    skipped: tuple[Skipped, ...]
    primaries: Mapping[str, str | None]


def select_sets(settings: EvalSettings, catalog: Catalog, data_root: Path | None, hub: Hub) -> Selection:
    """Look up and locate the sets of `settings.langs`, in that order, each once; nothing is parsed.

    Raises SettingError for an unknown language and HubUnreachableError when no set at all can be had.
    """
    chosen: dict[str, PairSet] = {}
    primaries: dict[str, str | None] = {}
    for code in dict.fromkeys(settings.langs):
        sets = catalog.sets_of(code, settings.family)
        monolingual = [each for each in sets if each.languages == (code, code)]
        primaries[code] = next((each.name for each in [*monolingual, *sets]), None)
        chosen.update({each.name: each for each in sets})
    places = [locate_set(each, data_root, hub) for each in chosen.values()]
    located = tuple(place for place in places if isinstance(place, LocatedSet))
    skipped = tuple(Skipped(place.pair_set.name, place.why) for place in places if isinstance(place, MissingSet))
    if not located:
        why = f" ({skipped[0].set}: {skipped[0].why})" if skipped else ""
        asked = f"of {', '.join(primaries)}" + (f" in family {settings.family}" if settings.family else "")
        remedy = "give their original files with --data-root, or run where the hub can be reached"
        raise HubUnreachableError(f"no pair set {asked} can be had{why}", remedy)
    return Selection(located, skipped, primaries)


def evaluate_sts(subject: EncoderRef, settings: EvalSettings, context: Context) -> Scores:
    """Scores of one encoder on the sets of `settings.langs`; everything that was computed before is taken as it is."""
    workspace, catalog, hub = context.workspace, context.catalog, context.hub
    selection = select_sets(settings, catalog, context.data_root, hub)
    located, precision = selection.located, settings.precision
    cosines = build_cosines(subject, located, precision, also=poolings_beside(subject), workspace=workspace, hub=hub)
    bases, why_not = base_cosines(subject, located, precision, workspace=workspace, hub=hub)
    if why_not:
        console.note(why_not)
    facts = read_encoder_facts(cosines)
    entry = EncoderEntry(
        subject.name, subject.base, subject.objective, facts["pooling"], facts["dimension"], subject.key
    )
    unseen = {place.pair_set.name: subject.transductive(place.pair_set) for place in located}

    def sheet_of(sets: Sequence[SetScore], mean: MeanScore | None) -> ScoreSheet:
        return ScoreSheet(entry, settings.suite, selection.primaries, sets, (), {}, {}, 0.0, mean)

    def make(folder: Path, _scratch: Path) -> Mapping[str, Any]:
        own, of_base = read_cosines(cosines), {role: read_cosines(base) for role, base in bases.items()}
        scored = []
        for place in located:
            name, languages = place.pair_set.name, place.pair_set.languages
            baselines = dict.fromkeys(BASELINES) | {
                role: spearman(found[name].cosine, found[name].gold) for role, found in of_base.items()
            }
            baselines |= word_baselines(read_pairs(place, hub), languages, catalog)
            scored.append(_set_score(place.pair_set, own[name], baselines, unseen[name], settings))
        sheet = sheet_of(scored, mean_score(selection.primaries, [own], of_base, settings))
        stored = {
            "sets": [asdict(score) for score in scored],
            "mean": None if sheet.mean is None else asdict(sheet.mean),
        }
        (folder / _SETS).write_text(readable_json(stored), "utf-8")
        (folder / "scores.json").write_text(readable_json(stored_document(sheet)), "utf-8")
        (folder / "table.md").write_text(markdown(grids(sheet), legend(sheet)), "utf-8")
        if subject.provenance is not None:
            (folder / CARD).write_text(card(subject.provenance, sheet), "utf-8")
        return {"spearman": {score.set: rounded(score.spearman) for score in scored}}

    request = Request(
        stage="scores",
        format=FORMAT,
        name=subject.label,
        settings={
            "encoder": asdict(entry),
            "suite": settings.suite,
            "resamples": settings.resamples,
            "seed": settings.seed,
            "primaries": dict(selection.primaries),
            "transductive": unseen,
            "spaced": {code: is_spaced(code, catalog) for place in located for code in place.pair_set.languages},
        },
        inputs={"cosines": cosines.key, **{role: base.key for role, base in bases.items()}},
        fingerprints=set_fingerprints(located),
    )
    artefact = workspace.build(request, make)
    stored = read_json(artefact.folder / _SETS)
    sheet = replace(
        sheet_of([_read_set_score(table) for table in stored["sets"]], read_mean_score(stored["mean"])),
        skipped=selection.skipped,
        settings=table_of(settings),
        versions=cosines.manifest["versions"],
        seconds=round(cosines.seconds + artefact.seconds, 3),  # of the work, not of finding it done
    )
    return Scores(artefact, cosines, sheet)


def _set_score(
    pair_set: PairSet,
    found: SetCosines,
    baselines: Mapping[str, float | None],
    transductive: bool | None,
    settings: EvalSettings,
) -> SetScore:
    return SetScore(
        set=pair_set.name,
        languages=pair_set.languages,
        split=pair_set.split,
        pairs=len(found.gold),
        spearman=spearman(found.cosine, found.gold),
        pearson=pearson(found.cosine, found.gold),
        interval=spearman_interval(found.cosine, found.gold, resamples=settings.resamples, seed=settings.seed),
        truncated=found.truncated,
        unknown=found.unknown,
        made=pair_set.made,
        kind=pair_set.kind,
        transductive=transductive,
        baselines=baselines,
    )


def _read_set_score(table: Mapping[str, Any]) -> SetScore:
    interval = tuple(table["interval"]) if table["interval"] else None
    return SetScore(**{**table, "languages": tuple(table["languages"]), "interval": interval})
