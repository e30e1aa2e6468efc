"""`mlsg export`: a whole copy or none, and nothing beside its target once it has run."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from mlsg.cache.artefact import MANIFEST, Artefact, Request
from mlsg.cache.workspace import Workspace
from mlsg.errors import DataError, SettingError
from mlsg.report import export
from mlsg.report.export import export_encoder

FILES = {"config.json": "{}", "model.safetensors": "weights", "1_Pooling/config.json": "{}", "README.md": "no scores"}


@pytest.fixture
def encoder(workspace: Workspace) -> Artefact:
    def make(folder: Path, scratch: Path) -> dict[str, int]:
        for name, content in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        return {}

    made = workspace.build(Request("encoders", 1, "tiny", {}, {}, {}), make)
    workspace.remember("train", made)
    return made


def exported(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_everything_but_the_manifest_is_copied(workspace: Workspace, encoder: Artefact, tmp_path: Path) -> None:
    for number, name in enumerate((None, encoder.folder.name, str(encoder.folder))):
        assert "no scores yet" in export_encoder(tmp_path / f"out{number}", name, workspace.root)
        assert exported(tmp_path / f"out{number}") == FILES
    assert not (tmp_path / "out0" / MANIFEST).exists()


@pytest.mark.parametrize("after", range(5))
def test_one_that_was_killed_is_replaced_by_the_rerun_which_leaves_nothing_beside_it(
    after: int, workspace: Workspace, encoder: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[object] = []
    plain_copy, plain_rmtree = shutil.copy, shutil.rmtree

    def copy(source: Path, target: Path) -> None:
        copied.append(target)
        if len(copied) > after:
            monkeypatch.setattr(shutil, "rmtree", lambda *given, **options: None)  # as in a process that is killed
            raise KeyboardInterrupt
        plain_copy(source, target)

    monkeypatch.setattr(shutil, "copy", copy)
    target = tmp_path / "shared" / "out"
    if after < len(FILES):
        with pytest.raises(KeyboardInterrupt):
            export_encoder(target, None, workspace.root)
        assert [path.name for path in target.parent.iterdir()] == [".out.export"]
    monkeypatch.setattr(shutil, "copy", plain_copy)
    monkeypatch.setattr(shutil, "rmtree", plain_rmtree)
    export_encoder(target, None, workspace.root)
    assert [path.name for path in target.parent.iterdir()] == ["out"]
    assert exported(target) == FILES


def test_a_full_disk_is_one_line_and_leaves_nothing(
    workspace: Workspace, encoder: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(export.shutil, "copy", full)
    with pytest.raises(SettingError, match="out cannot be written: No space left on device"):
        export_encoder(tmp_path / "shared" / "out", None, workspace.root)
    assert list((tmp_path / "shared").iterdir()) == []


def test_a_copy_that_is_not_whole_is_not_published(
    workspace: Workspace, encoder: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:-1])

    monkeypatch.setattr(export.shutil, "copy", short)
    with pytest.raises(DataError, match="bytes instead of"):
        export_encoder(tmp_path / "shared" / "out", None, workspace.root)
    assert list((tmp_path / "shared").iterdir()) == []


def test_a_folder_with_content_is_left_alone(workspace: Workspace, encoder: Artefact, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="already exists"):
        export_encoder(workspace.root, None, workspace.root)
    (tmp_path / "empty").mkdir()
    export_encoder(tmp_path / "empty", None, workspace.root)
    assert exported(tmp_path / "empty") == FILES
