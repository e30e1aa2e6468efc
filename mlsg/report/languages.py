"""`mlsg langs`: what is declared for each language."""

from __future__ import annotations

from mlsg import console
from mlsg.config.catalog import Catalog, Language
from mlsg.config.schema import Corpus, PairSet

_MADE = {
    "human": "human",
    "human_translation": "human translation",
    "machine_translation": "machine translation",
    "written_for_project": "written for mlsg",
}


def print_languages(catalog: Catalog, code: str | None) -> None:
    """One line a language, or everything about one, on stdout. Raises SettingError for an unknown language."""
    if code is None:
        _print_overview(catalog)
    else:
        _print_language(catalog.language(code))


def _print_overview(catalog: Catalog) -> None:
    rows = [
        (
            language.code,
            language.name,
            primary.name if primary else "-",
            _pairs(primary) if primary else "-",
            _MADE[primary.made] if primary else "-",
            primary.licence if primary else "-",
            str(len(language.sets)),
            str(len(language.corpora)),
        )
        for language in catalog.languages.values()
        for primary in [catalog.primary_of(language.code)]
    ]
    columns = ["code", "language", "primary set", "pairs", "how made", "licence", "sets", "corpora"]
    console.table("Languages (mlsg langs CODE shows one in full)", columns, rows, numbers=("pairs", "sets", "corpora"))


def _print_language(language: Language) -> None:
    sets = [
        (
            f"{pair_set.name}{' *' if pair_set.primary else ''}",
            "-".join(dict.fromkeys(pair_set.languages)),
            pair_set.split,
            _pairs(pair_set),
            _MADE[pair_set.made],
            pair_set.licence,
            "yes" if pair_set.default else "",
        )
        for pair_set in language.sets
    ]
    columns = ["set (* primary)", "languages", "split", "pairs", "how made", "licence", "in eval"]
    console.table(f"Pair sets of {language.name} ({language.code})", columns, sets, numbers=("pairs",))
    corpora = [
        (
            f"{corpus.name}{' *' if corpus.default else ''}",
            _where(corpus),
            corpus.licence,
            ", ".join(corpus.transductive),
        )
        for corpus in language.corpora
    ]
    console.table(
        f"Corpora of {language.name} ({language.code})",
        ["corpus (* default)", "from", "licence", "transductive on"],
        corpora,
    )


def _pairs(pair_set: PairSet) -> str:
    return f"{pair_set.pairs:,}" if pair_set.pairs else "?"


def _where(corpus: Corpus) -> str:
    hub = [f"hub {source.path}{f' ({source.config})' if source.config else ''}" for source in corpus.hub[:1]]
    files = ["inside mlsg" if corpus.root == "starter" else "files"] if corpus.files else []
    return ", ".join([*files, *hub])
