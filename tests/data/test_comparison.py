"""The forms of sets as an artefact: the sentences of all sets, parsed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlsg.cache.workspace import Workspace
from mlsg.config.catalog import load_catalog
from mlsg.data import comparison
from mlsg.data.comparison import evaluation_sentences
from mlsg.data.pairs import LocatedSet, locate_set
from mlsg.text.matching import match_form
from tests.data.written import PretendedHub, write

HUB = PretendedHub()
TOML = """
code = "xx"
[sets."one.xx"]
files = "one.tsv"
columns = [0, 1, 2]
[sets."two.xx"]
files = "two.tsv"
columns = [0, 1, 2]
pairs = 2
[sets."wrong.xx"]
files = "wrong.tsv"
columns = [0, 1, 2]
"""
FILES = {
    "xx.toml": TOML,
    "one.tsv": "Ein Satz.\tNoch einer\t1\n",
    "two.tsv": "ein SATZ.\tNur hier\t1\nDrei\tVier\t2\n",
    "wrong.tsv": "Fünf\tSechs\tseven\n",
}


def _sets(folder: Path) -> list[LocatedSet]:
    write(folder, FILES)
    found = [locate_set(each, None, HUB) for each in load_catalog([folder]).languages["xx"].sets]
    return [each for each in found if isinstance(each, LocatedSet)]


def test_forms_of_both_columns_are_there_by_set(workspace: Workspace, tmp_path: Path) -> None:
    sentences, unreadable = evaluation_sentences(_sets(tmp_path / "sets"), workspace, HUB)
    assert set(sentences.forms) == {
        match_form(text) for text in ("Ein Satz.", "Noch einer", "Nur hier", "Drei", "Vier")
    }
    sentences.found({"ein satz.": 3, "drei": 1})
    assert sentences.counts() == {"one.xx": (3, 1, 2), "two.xx": (4, 2, 4)}
    assert list(unreadable) == ["wrong.xx"]
    assert "seven" in unreadable["wrong.xx"]
    assert str(tmp_path) not in (workspace.artefacts("comparison")[0].folder / "artefact.json").read_text()


def test_sets_are_parsed_once(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = evaluation_sentences(_sets(tmp_path), workspace, HUB)
    monkeypatch.setattr(comparison, "read_pairs", None)
    again, unreadable = evaluation_sentences(_sets(tmp_path), workspace, HUB)
    assert set(again.forms) == set(first.forms)
    assert again.counts() == first.counts()
    assert list(unreadable) == ["wrong.xx"]


def test_the_bytes_do_not_depend_on_the_order_of_hashes(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    write(tmp_path, FILES)
    script = (
        "import sys; from pathlib import Path; from mlsg.cache.workspace import Workspace\n"
        "from tests.data.test_comparison import _sets, HUB, evaluation_sentences\n"
        "w = Workspace(Path(sys.argv[1])); evaluation_sentences(_sets(Path(sys.argv[2])), w, HUB)\n"
        "print(w.artefacts()[0].manifest['files'])"
    )
    printed = set()
    for seed in "12":
        command = [sys.executable, "-c", script, str(tmp_path / f"w{seed}"), str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONHASHSEED": seed}
        printed.add(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    assert len(printed) == 1


def test_without_sets_nothing_is_built(workspace: Workspace) -> None:
    sentences, unreadable = evaluation_sentences([], workspace, HUB)
    assert (set(sentences.forms), unreadable, workspace.artefacts()) == (set(), {}, [])
