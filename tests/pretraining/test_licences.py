"""Licences are read from the tables beside the text."""

from __future__ import annotations

from pathlib import Path

from mlsg.pretraining.licences import NOT_STATED, licences

_README = """# Text

`parallel.tsv.xz`: rows of one/news and other/talks.

### en

| source | kind | licence as stated | lines |
|---|---|---|---|
| one/news (2019) | news | CC BY 4.0 | 12 |
| other/novels | novels |  | 3 |

### en_more

| Source | Licence |
|---|---|
| mine | CC0 1.0 |

| file | sha256 |
|---|---|
| en | 12 |
"""


def test_every_source_of_a_file_has_its_licence(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(_README)
    assert licences(tmp_path, ["en.txt.xz", "en_more.txt", "parallel.tsv.xz", "tr.txt"]) == {
        "en.txt.xz": [("one/news (2019)", "CC BY 4.0"), ("other/novels", NOT_STATED)],
        "en_more.txt": [("mine", "CC0 1.0")],
        "parallel.tsv.xz": [("one/news", "CC BY 4.0"), ("other/talks", NOT_STATED)],
        "tr.txt": [],
    }


def test_without_a_readme_nothing_is_stated(tmp_path: Path) -> None:
    assert licences(tmp_path, ["en.txt"]) == {"en.txt": []}


def test_the_shared_corpora_are_read_whole(shared: Path) -> None:
    names = sorted(path.name for path in (shared / "corpora").iterdir() if path.suffix == ".xz")
    found = licences(shared / "corpora", names)
    assert all(found.values())
    assert sum(map(len, found.values())) > 100
