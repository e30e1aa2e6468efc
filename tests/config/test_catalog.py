"""The catalog: what a TOML may leave out, how the user's TOMLs join ours, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlsg.config.catalog import Catalog, Language, load_catalog
from mlsg.errors import SettingError

NINE_LINES = """\
code = "eu"
name = "Basque"

[corpora.mine]
files = "sentences.txt"

[sets."mine.eu"]
files = "pairs.tsv"
columns = ["left", "right", "grade"]
"""


def _with(folder: Path, **tomls: str) -> Catalog:
    for code, text in tomls.items():
        (folder / f"{code}.toml").write_text(text, encoding="utf-8")
    return load_catalog([folder])


def test_nine_lines_declare_a_language(tmp_path: Path) -> None:
    assert len(NINE_LINES.splitlines()) == 9
    catalog = _with(tmp_path, eu=NINE_LINES)
    language = catalog.language("eu")
    assert (language.name, language.spaced) == ("Basque", True)
    corpus = language.corpus()
    assert (corpus.name, corpus.files[0].reader, corpus.documents, corpus.transductive) == ("mine", "lines", False, ())
    pair_set = catalog.pair_set("mine.eu")
    assert (pair_set.family, pair_set.languages, pair_set.split) == ("mine", ("eu", "eu"), "test")
    assert (pair_set.score_range, pair_set.pairs, pair_set.default) == (None, 0, True)
    files = pair_set.files[0]
    assert (files.reader, files.delimiter, files.quoted, files.header) == ("delimited", "\t", False, True)
    assert catalog.primary_of("eu") == pair_set
    assert catalog.sets_of("eu") == [pair_set]


@pytest.mark.parametrize(
    ("path", "columns", "expected"),
    [
        ("p.tsv", [0, 1, 2], ("delimited", "\t", False, False)),
        ("p.csv", ["a", "b", "c"], ("delimited", ",", True, True)),
        ("p.csv.gz", [0, 1, 2], ("delimited", ",", True, False)),
        ("a.b.txt.xz", ["a", "b", "c"], ("delimited", "\t", False, True)),
        ("p.jsonl", ["a", "b", "c"], ("jsonl", "\t", False, True)),
        ("p.json.xz", ["a", "b", "c"], ("json", "\t", False, True)),
        ("p.xml", ["t", "h", "@s"], ("xml", "\t", False, True)),
    ],
)
def test_the_suffix_says_how_a_file_is_read(
    tmp_path: Path, path: str, columns: list[object], expected: tuple[object, ...]
) -> None:
    declared = str(columns).replace("'", '"')
    catalog = _with(tmp_path, xx=f'[sets."a.xx"]\nfiles = "{path}"\ncolumns = {declared}\n')
    files = catalog.pair_set("a.xx").files[0]
    assert (files.reader, files.delimiter, files.quoted, files.header) == expected


def test_what_is_said_wins_over_what_is_guessed(tmp_path: Path) -> None:
    table = '[sets."a.xx"]\nfiles = "p.csv"\ndelimiter = ";"\nquoted = false\nheader = true\ncolumns = [0, 1, 2]\n'
    files = _with(tmp_path, xx=table).pair_set("a.xx").files[0]
    assert (files.delimiter, files.quoted, files.header) == (";", False, True)


def test_a_family_gives_its_sets_what_they_do_not_say(tmp_path: Path) -> None:
    text = """
    [families.f]
    licence = "CC0"
    score_range = [0, 3]
    hub = { path = "owner/name", revision = "abc", config = "x" }
    [sets."f.one"]
    hub.split = "dev"
    [sets."f.two"]
    score_range = [0, 4]
    hub.config = "y"
    [sets."g.one"]
    files = "g.tsv"
    """
    catalog = _with(tmp_path, xx=text)
    one, two, other = (catalog.pair_set(name) for name in ("f.one", "f.two", "g.one"))
    assert one.hub and two.hub
    assert (one.score_range, two.score_range, other.score_range) == ((0, 3), (0, 4), None)
    assert (one.hub.path, one.hub.config, one.hub.split) == ("owner/name", "x", "dev")
    assert (two.hub.config, two.hub.split) == ("y", "test")
    assert (one.licence, other.licence) == ("CC0", "not stated")


def test_the_users_toml_adds_to_a_language_and_keeps_the_rest(tmp_path: Path) -> None:
    ours = load_catalog()
    catalog = _with(tmp_path, zh='code = "zh"\n[sets."mine.zh"]\nfiles = "p.tsv"\n')
    before, after = ours.language("zh"), catalog.language("zh")
    assert (after.name, after.spaced, after.corpora) == (before.name, before.spaced, before.corpora)
    assert [each.name for each in after.sets] == [*(each.name for each in before.sets), "mine.zh"]
    assert catalog.primary_of("zh") == ours.primary_of("zh")


def test_the_users_set_replaces_ours_of_the_same_name(tmp_path: Path) -> None:
    catalog = _with(tmp_path, tr='code = "tr"\n[sets."stsb_google.tr"]\nprimary = true\nfiles = "mine.tsv"\n')
    pair_set = catalog.pair_set("stsb_google.tr")
    assert (pair_set.files[0].paths, pair_set.hub, pair_set.root) == (("mine.tsv",), None, str(tmp_path.resolve()))
    assert [each.name for each in catalog.all_sets()].count("stsb_google.tr") == 1
    moved = _with(tmp_path, tr="", xx='[sets."stsb_google.tr"]\nfiles = "mine.tsv"\n')
    assert moved.pair_set("stsb_google.tr").languages == ("xx", "xx")
    assert [each.name for each in moved.all_sets()].count("stsb_google.tr") == 1


def test_the_users_primary_set_and_default_corpus_take_the_place_of_ours(tmp_path: Path) -> None:
    text = 'code = "es"\n[corpora.mine]\ndefault = true\nfiles = "s.txt"\n'
    text += '[sets."mine.es"]\nprimary = true\nfiles = "p.tsv"\n'
    catalog = _with(tmp_path, es=text)
    primary = catalog.primary_of("es")
    assert primary and primary.name == "mine.es"
    assert [each.name for each in catalog.sets_of("es") if each.primary and each.languages == ("es", "es")] == [
        "mine.es"
    ]
    assert catalog.language("es").corpus().name == "mine"
    assert catalog.language("es").corpus("wikipedia").streamed


def test_a_cross_lingual_set_counts_for_both_languages_and_leads_neither(tmp_path: Path) -> None:
    text = """
    [sets."m.en-xx"]
    languages = ["en", "xx"]
    files = "c.tsv"
    [sets."m.xx"]
    files = "p.tsv"
    """
    catalog = _with(tmp_path, xx=text)
    names = [each.name for each in catalog.sets_of("xx")]
    primary = catalog.primary_of("xx")
    assert names == ["m.en-xx", "m.xx"]
    assert primary and primary.name == "m.xx"
    assert "m.en-xx" in [each.name for each in catalog.sets_of("en")]
    assert catalog.sets_of("en")[0].name == "stsb.en"


def test_a_language_with_nothing_to_measure_has_no_primary_set(tmp_path: Path) -> None:
    catalog = _with(tmp_path, xx='code = "xx"\n[corpora.c]\nfiles = "s.txt"\n')
    assert catalog.primary_of("xx") is None
    assert catalog.sets_of("xx") == []


def test_a_family_is_asked_for_by_name() -> None:
    catalog = load_catalog()
    assert [each.name for each in catalog.sets_of("es", "starter")] == ["starter.es"]
    assert [each.name for each in catalog.sets_of("en", "sts12")] == ["sts12.all"]
    assert catalog.sets_of("th", "sts12") == []
    assert not [each for each in catalog.sets_of("es") if each.family == "starter"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('code = "xx"\nnmae = "X"\n', ["nmae", 'did you mean "name"?']),
        ("code = 3\n", ["code must be a text"]),
        ('code = "xx"\nspaced = "no"\n', ["spaced must be true or false"]),
        ('code = "xx\n', ["xx.toml cannot be read", "line 1"]),
        ("[sets]\nmine = 3\n", ['"mine"', "must be a table"]),
        ("[sets.mine.xx]\nfiles = 'p.tsv'\n", ['unknown key "xx"']),
        ("[corpora.c]\nfile = 's.txt'\n", ['did you mean "files"?']),
        ("[corpora.c]\nlicence = 'CC0'\n", ["says neither files nor hub"]),
        ("[corpora.c]\nhub.path = 'a/b'\nhub.splits = 'train'\n", ["hub.splits must be a list"]),
        ("[corpora.c]\nhub.path = 'a/b'\nhub.revision = 3\n", ["revision must be a text"]),
        ("[sets.'a.xx']\nfiles = 'p.tsv'\npairs = 'many'\n", ["pairs must be a whole number"]),
        ("[sets.'a.xx']\nfiles = 'p.tsv'\nscore_range = [0, 1, 2]\n", ["score_range must be"]),
        ("[sets.'a.xx']\nfiles = 'p.tsv'\nkind = 'same'\n", ["kind", "similarity"]),
        ("[sets.'a.xx']\nfiles = 'p.tsv'\nlanguages = ['en']\n", ["a list of 2"]),
        (
            "[sets.'a.xx']\nfiles = 'p.tsv'\nprimary = true\n[sets.'b.xx']\nfiles = 'p.tsv'\nprimary = true\n",
            ["2 primary sets", "a.xx, b.xx"],
        ),
        ("[sets.'a.xx']\nfiles = 'p.tsv'\nprimary = true\nlanguages = ['en', 'xx']\n", ["two languages"]),
    ],
)
def test_a_wrong_toml_is_named_with_file_and_key(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(SettingError) as caught:
        _with(tmp_path, xx=text)
    for words in [*said, "xx.toml"]:
        assert words in str(caught.value)


def test_a_toml_that_is_not_utf8_and_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="is not a folder"):
        load_catalog([tmp_path / "nowhere"])
    (tmp_path / "xx.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(SettingError, match=r"xx\.toml cannot be read"):
        load_catalog([tmp_path])


def test_unknown_names_come_with_the_nearest() -> None:
    catalog = load_catalog()
    for ask, said in (
        (lambda: catalog.language("ess"), 'did you mean "es"?'),
        (lambda: catalog.pair_set("sts17.es-ess"), 'did you mean "sts17.es-es"?'),
        (lambda: catalog.language("en").corpus("stbs"), 'did you mean "stsb"?'),
        (lambda: catalog.sets_of("xx"), "unknown language"),
    ):
        with pytest.raises(SettingError) as caught:
            ask()
        assert said in str(caught.value)


def test_a_language_without_a_corpus_says_so() -> None:
    with pytest.raises(SettingError, match="has no corpus"):
        Language("xx", "X").corpus()
