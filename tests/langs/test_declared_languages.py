"""What `langs/*.toml` declare: twenty languages, each with a corpus, one primary set, pinned revisions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlsg.config.catalog import HubSource, load_catalog
from mlsg.config.resources import resource_folder
from mlsg.config.schema import _CORPUS_KEYS, _SET_KEYS, PAIR_COLUMNS

CATALOG = load_catalog()
TOMLS = sorted(resource_folder("langs").glob("*.toml"))
PRIMARY = {
    "en": "stsb.en",
    "es": "sts17.es-es",
    "ar": "sts17.ar-ar",
    "tr": "stsb_google.tr",
    "de": "stsb_mt.de",
    "fr": "stsb_mt.fr",
    "it": "stsb_mt.it",
    "nl": "sick_nl.nl",
    "pl": "stsb_mt.pl",
    "pt": "assin2.pt",
    "ru": "stsb_mt.ru",
    "zh": "stsb_mt.zh",
    "ja": "jsts.ja@valid",
    "ko": "korsts.ko",
    "id": "semrel24.ind",
    "ro": "rosts.ro",
    "th": "stsb_google.th",
    "hi": "semrel24.hin",
    "sv": "stsb_google.sv",
    "cs": "sts_cz.all",
}


def _hub_sources() -> list[HubSource]:
    of_sets = [pair_set.hub for pair_set in CATALOG.all_sets() if pair_set.hub]
    return of_sets + [source for each in CATALOG.languages.values() for corpus in each.corpora for source in corpus.hub]


def test_each_language_has_its_primary_set_first() -> None:
    primary = {code: CATALOG.primary_of(code) for code in CATALOG.languages}
    assert {code: each.name for code, each in primary.items() if each} == PRIMARY
    for code, name in PRIMARY.items():
        first = CATALOG.sets_of(code)[0]
        assert (first.name, first.primary, set(first.languages)) == (name, True, {code})


def test_unspaced_scripts_are_marked() -> None:
    assert {code for code, language in CATALOG.languages.items() if not language.spaced} == {"zh", "ja", "th"}


@pytest.mark.parametrize("code", PRIMARY)
def test_every_language_has_wikipedia_at_a_pinned_dump(code: str) -> None:
    wikipedia = CATALOG.language(code).corpus("wikipedia")
    (source,) = wikipedia.hub
    assert (source.path, source.config, source.split) == ("wikimedia/wikipedia", f"20231101.{code}", "train")
    assert source.columns == ("text",)
    assert wikipedia.documents
    assert wikipedia.streamed
    assert wikipedia.licence


def test_the_papers_sentences_are_the_default_of_english_and_declared_transductive() -> None:
    english = CATALOG.language("en")
    assert english.corpus().name == "stsb"
    assert (english.corpus().transductive, english.corpus().repetitions) == (("stsb",), True)
    twin = english.corpus("stsb_train")
    assert (twin.transductive, twin.repetitions, len(twin.files), len(twin.hub)) == ((), True, 1, 1)
    assert [source.split for source in english.corpus().hub] == ["train", "validation", "test"]


def test_every_hub_revision_is_a_full_commit_or_says_that_none_is_known() -> None:
    for source in _hub_sources():
        assert re.fullmatch(r"[0-9a-f]{40}|main", source.revision), source
    for path in TOMLS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if '"main"' in line:
                assert re.search(r"# .*commit", line), f"{path.name}: {line}"


def test_crosslingual_hub_sets_are_one_configuration_filtered_by_language() -> None:
    filtered = [each for each in CATALOG.all_sets() if each.hub and each.hub.path.endswith("-crosslingual-sts")]
    assert len(filtered) > 20
    for pair_set in filtered:
        assert pair_set.hub
        assert pair_set.hub.config is None
        assert pair_set.hub.where == {"lang": pair_set.name.rpartition(".")[2]}
        codes = pair_set.name.rpartition(".")[2].split("-")
        assert pair_set.languages == (codes[0], codes[-1])


def test_sets_are_declared_once_with_facts_that_fit() -> None:
    names = [pair_set.name for pair_set in CATALOG.all_sets()]
    assert len(names) == len(set(names))
    for pair_set in CATALOG.all_sets():
        assert pair_set.family == pair_set.name.split(".")[0]
        assert pair_set.score_range and pair_set.score_range[0] < pair_set.score_range[1]
        assert pair_set.pairs > 0 or pair_set.root == "starter"
        assert set(pair_set.languages) <= set(PRIMARY)
        if pair_set.made == "machine_translation" and pair_set.name.startswith(("stsb", "mstsb", "german", "ru_stsb")):
            assert "stsb" in pair_set.texts


def test_defaults_leave_out_parts_other_splits_quality_and_the_starter() -> None:
    defaults = {pair_set.name for pair_set in CATALOG.all_sets() if pair_set.default}
    assert not {name for name in defaults if "@" in name} - {"jsts.ja@valid", "klue_sts.ko@validation"}
    assert not {name for name in defaults if re.match(r"sts1[2-6]\.(?!all)|sts_cz\.(?!all)|sts14_es\.(?!all)", name)}
    assert not {pair_set.name for pair_set in CATALOG.all_sets() if pair_set.default and pair_set.kind == "quality"}
    assert not {name for name in defaults if name.startswith("starter")}
    assert not [pair_set for pair_set in CATALOG.all_sets() if pair_set.default and pair_set.pairs < 100]


@pytest.mark.parametrize(
    ("name", "path", "revision", "split", "columns"),
    [
        ("stsb.v2.en", "mteb/STSBenchmarkv2", "93b628c3969a75e76727db2b7ee252e53e96268d", "test", PAIR_COLUMNS),
        (
            "stsb.v2.en@dev",
            "mteb/STSBenchmarkv2",
            "93b628c3969a75e76727db2b7ee252e53e96268d",
            "validation",
            PAIR_COLUMNS,
        ),
        (
            "stsb_google.id",
            "LazarusNLP/stsb_mt_id",
            "d0095a14faeaad923263a0ce2d301f8163b94106",
            "test",
            ("text_1", "text_2", "correlation"),
        ),
        *(
            (
                f"assin1.{variant}",
                "nilc-nlp/assin",
                "6535e48351178e07ade013b05b69f0e35cb28bbb",
                "test",
                ("premise", "hypothesis", "relatedness_score"),
            )
            for variant in ("ptbr", "ptpt")
        ),
        *(
            (
                f"semrel24.{code}@dev",
                "SemRel/SemRel2024",
                "ef5c383d1b87eb8feccde3dfb7f95e42b1b050dd",
                "dev",
                ("sentence1", "sentence2", "label"),
            )
            for code in ("eng", "arb", "esp", "hin", "ind")
        ),
    ],
)
def test_sets_on_the_hub_are_where_their_sources_say(
    name: str, path: str, revision: str, split: str, columns: tuple[str, ...]
) -> None:
    source = CATALOG.pair_set(name).hub
    assert source
    assert (source.path, source.revision, source.split, source.columns) == (path, revision, split, columns)
    if not path.startswith(("mteb", "Lazarus")):
        assert source.config == name.partition(".")[2].partition("@")[0]


def test_sets_that_share_texts_say_so_and_are_not_counted_twice() -> None:
    korean, spanish = CATALOG.pair_set("sts17.ko-ko"), CATALOG.pair_set("stses.es")
    assert (korean.default, korean.texts, korean.licence) == (False, ("stsb",), "CC BY-SA 4.0")
    assert korean.name not in {each.name for each in CATALOG.sets_of("ko")}
    assert korean in CATALOG.sets_of("ko", family="sts17")
    assert (spanish.score_range, set(spanish.texts)) == ((0, 4), {"stses", "sts14_es"})
    assert not CATALOG.pair_set("stsb.v2.en").default
    assert CATALOG.pair_set("stsb.v2.en").texts == ("stsb",)


def test_members_add_up() -> None:
    for family, parts in (
        ("sts12", 5),
        ("sts13", 3),
        ("sts14", 6),
        ("sts15", 5),
        ("sts16", 5),
        ("sts_cz", 2),
        ("sts14_es", 2),
    ):
        whole = CATALOG.pair_set(f"{family}.all")
        members = [each for each in CATALOG.all_sets() if each.family == family and each != whole]
        assert len(members) == len(whole.files) == parts
        assert sum(each.pairs for each in members) == whole.pairs


def test_starter_sets_are_declared_for_fourteen_languages() -> None:
    starters = {each.languages[0]: each for each in CATALOG.all_sets() if each.family == "starter"}
    assert set(starters) == {"en", "es", "ar", "tr", "de", "fr", "it", "pt", "nl", "pl", "ru", "zh", "ja", "ko"}
    assert {(each.root, each.made, each.primary) for each in starters.values()} == {
        ("starter", "written_for_project", False)
    }
    assert CATALOG.language("en").corpus("starter").root == "starter"


@pytest.mark.parametrize("path", TOMLS, ids=lambda path: path.name)
def test_a_toml_reads_well(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "\t" not in text
    assert not text.startswith("\n")
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert not re.search(r"[ ]$", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 140
    assert f'code = "{path.stem}"' in text


def test_the_explanation_of_the_format_names_every_key() -> None:
    """The head of en.toml explains the format; a key that it does not name is a key that nobody finds."""
    head = (resource_folder("langs") / "en.toml").read_text(encoding="utf-8").partition("\ncode")[0]
    for key in (_SET_KEYS | _CORPUS_KEYS) - {"family", "split", "root"}:
        assert re.search(rf"\b{key}\b", head), key
