"""A language's TOML stays in its folder, and whatever is in it ends in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsg.config import catalog as catalog_module
from mlsg.config.catalog import load_catalog
from mlsg.config.schema import Corpus, Files, HubSource, PairSet
from mlsg.config.settings import setting_names
from mlsg.data.corpora import stream_corpus
from mlsg.data.pairs import LocatedSet, locate_set, read_pairs
from mlsg.errors import DataError, MlsgError, SettingError
from tests.data.written import PretendedHub, write
from tests.fuzzing import tried

_TABLES = {"set": '[sets."mine.xx"]\ncolumns = [0, 1, 2]\n', "corpus": "[corpora.mine]\n"}


@pytest.mark.parametrize("kind", _TABLES)
@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "../../../../../../etc/passwd",
        "a/../../secret.txt",
        "./../secret.txt",
        "..",
        "a/b/../../../x.txt",
    ],
)
def test_a_path_does_not_leave_the_folder(tmp_path: Path, kind: str, path: str) -> None:
    folder = tmp_path / "langs"
    write(tmp_path, {"secret.txt": "A secret sentence.\n"})
    table = f'{_TABLES[kind]}files = "{path}"\nreader = "delimited"\n'
    for text in (table, table.replace(f'"{path}"', f'["inside.txt", "{path}"]')):
        write(folder, {"xx.toml": text, "inside.txt": "A\tb\t1\n"})
        with pytest.raises(SettingError, match="outside the folder") as caught:
            load_catalog([folder])
        assert "xx.toml" in str(caught.value)


def test_only_the_users_own_toml_may_name_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "elsewhere", {"s.txt": "A sentence.\n"})
    table = f'[corpora.mine]\nfiles = "{tmp_path / "elsewhere" / "s.txt"}"\n'
    write(tmp_path / "langs", {"xx.toml": table})
    corpus = load_catalog([tmp_path / "langs"]).language("xx").corpus()
    assert list(stream_corpus(corpus, None, PretendedHub())[1]) == ["A sentence."]
    for root in ("data", "starter"):
        write(tmp_path / "langs", {"xx.toml": f'{table}root = "{root}"\n'})
        with pytest.raises(SettingError, match="outside the folder"):
            load_catalog([tmp_path / "langs"])
    write(tmp_path / "langs", {"xx.toml": table})
    monkeypatch.setattr(catalog_module, "resource_folder", lambda name: tmp_path / name)
    with pytest.raises(SettingError, match="outside the folder"):
        load_catalog()


@pytest.mark.parametrize("root", ["/etc", "..", "../..", "/", "", "data/.."])
def test_a_root_is_one_of_ours_or_the_folder(tmp_path: Path, root: str) -> None:
    write(tmp_path, {"xx.toml": f'[corpora.mine]\nfiles = "passwd"\nreader = "lines"\nroot = "{root}"\n'})
    with pytest.raises(SettingError, match="root is"):
        load_catalog([tmp_path])


def test_paths_that_stay_inside_are_found(tmp_path: Path) -> None:
    write(tmp_path, {"a/s.txt": "One.\n", "..b.txt": "Two.\n"})
    write(tmp_path, {"xx.toml": '[corpora.mine]\nfiles = ["a/../a/s.txt", "./a/s.txt", "..b.txt"]\n'})
    corpus = load_catalog([tmp_path]).language("xx").corpus()
    assert list(stream_corpus(corpus, None, PretendedHub())[1]) == ["One.", "One.", "Two."]


@pytest.mark.parametrize(
    "text",
    [
        "pairs = 1" + "0" * 5000,
        "a = " + "[" * 5000 + "]" * 5000,
        "[families]\nmine = 3\n[sets.'mine.xx']\nfiles = 'p.tsv'",
        "families = 3",
        "[[sets]]\nfiles = 'p.tsv'",
        "[[corpora.mine]]\nfiles = 's.txt'",
        "[sets.'a.xx']\nfiles = 'p.tsv'\nmembers = 3",
        "[sets.'a.xx']\nfiles = 'p.tsv'\nmembers = [['a']]",
        "[sets.'a.xx']\nfiles = 'p.tsv'\nwhere.lang = 3",
        "[sets.'a.xx']\nfiles = 'p.tsv'\ncolumns = [0, 1, 2]\nwhere.'²' = 'x'",
        "[sets.'a.xx']\nfiles = 'p.tsv'\ncolumns = [0, 1, 2]\nwhere.'" + "9" * 5000 + "' = 'x'",
        "[sets.'a.xx']\nfiles = 'p.tsv'\ncolumns = [0, 1, 9999999999999999999999]",
        "[sets.'a.xx']\nfiles = ['i.txt', 'g.txt']\nreader = 'parallel'\nscored_lines = -1",
        "[sets.'a.xx']\nfiles = ['i.txt', 'g.txt']\nreader = 'parallel'\nscored_lines = 99999999999999999999",
        "[sets.'a.xx']\nfiles = 'p.csv'\ndelimiter = '\"'",
        '[corpora.c]\nfiles = "s.csv"\ndelimiter = "\\n"',
        "[corpora.c]\nfiles = 's.csv'\ndelimiter = ''",
        "[corpora.c]\nfiles = 's.csv'\ncolumns = []",
        "[corpora.c]\nfiles = 's.csv'\ncolumns = [-1]",
        "[corpora.c]\nfiles = ['a.txt', 'b.txt']\nreader = 'parallel'",
        "[corpora.c]\nfiles = 's.txt'\nlicence = " + json.dumps(["x" * 99_999]),
    ],
)
def test_a_key_of_another_type_or_size_is_one_short_line(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"xx.toml": text})
    with pytest.raises(SettingError) as caught:
        load_catalog([tmp_path])
    assert "xx.toml" in str(caught.value)
    assert len(str(caught.value)) < 600 + 2 * len(str(tmp_path))


def test_a_pipe_that_is_called_a_toml_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "xx.toml")
    with pytest.raises(SettingError, match="is not a file"):
        load_catalog([tmp_path])


def test_a_path_that_cannot_be_looked_for_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"xx.toml": f'[sets."mine.xx"]\nfiles = "{"x" * 4000}.tsv"\n'})
    with pytest.raises(DataError, match="cannot be opened"):
        locate_set(load_catalog([tmp_path]).pair_set("mine.xx"), None, PretendedHub())


_VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=5),
        st.sampled_from(
            ["p.tsv", "p.txt", "p.json", "p.xml", "p.csv", "delimited", "lines", "xml", "parallel", "\t", "a"]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "path", "b c", "1"]), inner, max_size=2)
    ),
    max_leaves=5,
)
_KEYS = sorted({name for kind in (Files, PairSet, Corpus) for name in setting_names(kind)} | {"members", "hub"})
_HUB = st.dictionaries(st.sampled_from([*setting_names(HubSource), "splits"]), _VALUES, max_size=3)
_TABLE = st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=4).flatmap(
    lambda table: st.just(table) | _HUB.map(lambda hub: {"files": "p.tsv", **table, "hub": {"path": "a/b", **hub}})
)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return json.dumps(value)
    return str(value)


@tried(120)
@given(kind=st.sampled_from(["sets", "corpora", "families"]), table=_TABLE, whole=_VALUES)
def test_whatever_a_toml_says_is_read_or_refused_in_one_line(
    tmp_path: Path, kind: str, table: Mapping[str, Any], whole: Any
) -> None:
    files = {f"p.{suffix}": "a\tb\t1\nc\td\t2\n" for suffix in ("tsv", "txt", "json", "xml", "csv")}
    lines = [f"[{kind}.mine]", *(f"{key} = {_toml(value)}" for key, value in {"files": "p.tsv", **table}.items())]
    if kind == "families":
        lines += ["[sets.'mine.xx']", "pairs = 2", f"[corpora.c]\nwhere = {_toml(whole)}\nfiles = 'p.txt'"]
    write(tmp_path, {**files, "xx.toml": "\n".join(lines)})
    with pytest.MonkeyPatch.context() as patch:  # ours take their time
        patch.setattr(catalog_module, "resource_folder", lambda name: tmp_path / name)
        _read_all(tmp_path)


def _read_all(folder: Path) -> None:
    try:
        found = load_catalog([folder])
        for pair_set in found.language("xx").sets:
            located = locate_set(pair_set, None, PretendedHub())
            if isinstance(located, LocatedSet):
                read_pairs(located, PretendedHub())
        for corpus in found.language("xx").corpora:
            list(stream_corpus(corpus, None, PretendedHub())[1])
    except MlsgError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1500
