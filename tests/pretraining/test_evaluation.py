"""Evaluation texts are found in whatever format they lie."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from pathlib import Path

import pytest

from mlsg.errors import SettingError
from mlsg.pretraining.evaluation import evaluation_texts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    sets = {
        "lines": ("a.txt", "Bir nehir taştı dün gece.\n"),
        "tabs": ("a.tsv", "1\tEin Fluss stieg über Nacht.\t2\n"),
        "commas": ("a.csv", '1,"Un río, dicen, creció.",2\n'),
        "objects": ("a.jsonl", json.dumps({"s": ["Речка поднялась ночью."]}, ensure_ascii=True) + "\n"),
        "tags": ("a.xml", "<p><s>Een rivier steeg vannacht.</s></p>\n"),
    }
    for folder, (name, content) in sets.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(content, encoding="utf-8")
    (tmp_path / "packed.txt.xz").write_bytes(lzma.compress("Rzeka wezbrała w nocy.\n".encode()))
    with tarfile.open(tmp_path / "archive.tar.xz", "w:xz") as archive:
        data = "Un fiume salì di notte.\n".encode("latin-1")
        member = tarfile.TarInfo("x/a.txt")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("Bir nehir taştı dün gece.", "lines"),
        ("bir NEHIR taştı  dün gece", "lines"),
        ("Ein Fluss stieg über Nacht!", "tabs"),
        ("Un río, dicen, creció.", "commas"),
        ("Речка поднялась ночью.", "objects"),
        ("Een rivier steeg vannacht.", "tags"),
        ("Rzeka wezbrała w nocy.", "packed.txt.xz"),
        ("Un fiume salì di notte.", "archive.tar.xz"),
        ("Ein Fluss stieg über Nacht und Tag.", ""),
        ("", ""),
    ],
)
def test_a_text_is_found(root: Path, text: str, where: str) -> None:
    assert evaluation_texts(root).where(text) == where


def test_without_a_data_root_nothing_is_held_out_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    assert not evaluation_texts(None).where("Anything.")
    with pytest.raises(SettingError, match="is no folder"):
        evaluation_texts(tmp_path / "none")
