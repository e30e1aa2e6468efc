"""`mlsg gc` removes what is of no use, and asks before anything that would have to be made again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlsg.cache.artefact import MANIFEST, Artefact, Request
from mlsg.cache.gc import check_hashes, collect_garbage
from mlsg.cache.workspace import LAST, Workspace
from mlsg.errors import DataError, SettingError

TEXT = Request("sentences", 1, "tr", {}, {}, {"a.txt": "00"})


def _make(folder: Path, scratch: Path) -> dict[str, int]:
    (folder / "content.txt").write_text("içerik\n", encoding="utf-8")
    return {}


def encoder_of(workspace: Workspace, text: Artefact, seed: int) -> Artefact:
    request = Request("encoders", 1, "e", {"seed": seed}, {"sentences": text.key}, {})
    return workspace.build(request, _make)


def grown_old(workspace: Workspace, *folders: Path) -> None:
    """As if what is there had been made and used two days ago."""
    ago = time.time() - 2 * 24 * 3600
    used = json.loads((workspace.root / "used.json").read_text())
    for folder in folders or workspace.folders():
        used[f"{folder.parent.name}/{folder.name}"]["used"] = int(ago)
        os.utime(folder, (ago, ago))
    (workspace.root / "used.json").write_text(json.dumps(used), encoding="utf-8")


def lines(workspace: Workspace, *, unused: bool = True, yes: bool = False) -> list[str]:
    return list(collect_garbage(workspace.root, unused=unused, yes=yes))


def test_finished_work_goes_with_yes_only_and_is_listed_without(workspace: Workspace) -> None:
    text, other = workspace.build(TEXT, _make), workspace.build(replace(TEXT, settings={"limit": 1}), _make)
    encoder = encoder_of(workspace, text, 1)
    workspace.remember("train", encoder)
    grown_old(workspace)
    assert lines(workspace, unused=False, yes=True) == []
    (said,) = lines(workspace)
    assert said.startswith(f"would remove sentences/{other.folder.name} (0.0 MB)")
    assert other.folder.exists()
    (said,) = lines(workspace, yes=True)
    assert said.startswith(f"removed sentences/{other.folder.name}")
    assert [each.key for each in workspace.artefacts()] == [encoder.key, text.key]
    assert lines(workspace, yes=True) == []


def test_what_was_made_or_used_in_the_last_day_is_kept_with_its_inputs(workspace: Workspace) -> None:
    text = workspace.build(TEXT, _make)
    used, unused = (encoder_of(workspace, text, seed) for seed in (1, 2))
    workspace.remember("eval", workspace.build(replace(TEXT, settings={"limit": 1}), _make))
    grown_old(workspace)
    assert workspace.find(Request("encoders", 1, "e", {"seed": 1}, {"sentences": text.key}, {})) == used
    (said,) = lines(workspace, yes=True)
    assert unused.folder.name in said
    grown_old(workspace)
    assert len(lines(workspace, yes=True)) == 2  # now the other one too, and its text


@pytest.mark.parametrize("harm", ["", "{}", "{", '{"train": "encoders/x"}', None])
def test_where_it_is_not_known_what_is_needed_nothing_goes(workspace: Workspace, harm: str | None) -> None:
    text = workspace.build(TEXT, _make)
    workspace.remember("train", encoder_of(workspace, text, 1))
    grown_old(workspace)
    last = workspace.root / LAST
    if harm is None:
        last.unlink()
    else:
        last.write_text(harm, encoding="utf-8")
    with pytest.raises(DataError, match=r"last\.json is (damaged|missing)"):
        lines(workspace, yes=True)
    assert len(workspace.artefacts()) == 2
    assert lines(workspace, unused=False) == []


@pytest.mark.parametrize("junk", ["", "[]", "{"])
def test_where_uses_cannot_be_read_everything_counts_as_used(workspace: Workspace, junk: str) -> None:
    workspace.remember("prepare", workspace.build(TEXT, _make))
    workspace.build(replace(TEXT, settings={"limit": 1}), _make)
    grown_old(workspace)
    (workspace.root / "used.json").write_text(junk, encoding="utf-8")
    assert lines(workspace, yes=True) == []


def test_the_encoders_of_all_seeds_are_kept(workspace: Workspace) -> None:
    text = workspace.build(TEXT, _make)
    for seed in range(1, 5):  # as `mlsg train --seeds 1-4` does
        workspace.remember(f"train:{seed}", encoder_of(workspace, text, seed))
    grown_old(workspace)
    assert lines(workspace, yes=True) == []


_BUILDER = """
import sys
from pathlib import Path
from mlsg.cache.artefact import Request
from mlsg.cache.workspace import Workspace

def make(folder, scratch):
    print("building", flush=True)
    sys.stdin.read()
    (folder / "content.txt").write_text("ready")
    return {}

Workspace(Path(sys.argv[1])).build(Request("encoders", 1, "e", {}, {"sentences": sys.argv[2]}, {}), make)
"""


def test_a_build_under_way_goes_on_and_so_does_what_it_reads(workspace: Workspace) -> None:
    workspace.remember("eval", workspace.build(replace(TEXT, settings={"limit": 1}), _make))
    text = workspace.build(TEXT, _make)
    grown_old(workspace)
    command = [sys.executable, "-c", _BUILDER, str(workspace.root), text.key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "building\n"
        assert lines(workspace, yes=True) == []
        process.communicate("", timeout=30)
    assert process.returncode == 0
    assert len(workspace.artefacts("encoders")) == 1


def test_killed_builds_and_damaged_artefacts_go_at_once_but_not_without_a_manifest(workspace: Workspace) -> None:
    whole, changed, bare = (workspace.build(replace(TEXT, settings={"limit": n}), _make) for n in range(3))
    (changed.folder / "content.txt").write_text("Içerik\n", encoding="utf-8")
    (bare.folder / MANIFEST).unlink()
    killed = workspace.root / "sentences" / ".x-0123456789ab.partial"
    killed.mkdir()
    with pytest.raises(DataError, match="2 damaged"):
        list(check_hashes(workspace.root))
    removed = lines(workspace, unused=False)
    assert [line.split(" (")[0] for line in removed] == [
        f"removed sentences/{killed.name}",
        *sorted(
            [f"removed sentences/{changed.folder.name}", f"would remove sentences/{bare.folder.name}"],
            key=lambda line: line.rpartition("/")[2],
        ),
    ]
    assert whole.folder.exists() and bare.folder.exists()
    assert "removed" in lines(workspace, unused=False, yes=True)[0]
    assert [line.split()[0] for line in check_hashes(workspace.root)] == ["ok"]


def test_folders_that_are_not_of_mlsg_are_left_alone(workspace: Workspace) -> None:
    workspace.remember("prepare", workspace.build(TEXT, _make))
    for name in ("data/notes", "sentences/my-own", "models/bert-0123456789ab"):
        (workspace.root / name).mkdir(parents=True)
        (workspace.root / name / "file.txt").write_text("mine")
    grown_old(workspace)
    assert lines(workspace, yes=True) == []
    assert len(list(check_hashes(workspace.root))) == 1


def test_it_goes_on_past_what_cannot_be_read_and_says_so(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (workspace.build(replace(TEXT, settings={"limit": n}), _make) for n in range(3))
    workspace.remember("prepare", three)
    grown_old(workspace)
    plain = shutil.rmtree

    def refused(path: Path, *more: object, **options: object) -> None:
        if Path(path) == one.folder:
            raise PermissionError(13, "Permission denied", str(path))
        plain(path, *more, **options)

    monkeypatch.setattr(shutil, "rmtree", refused)
    said: list[str] = []
    with pytest.raises(SettingError, match="1 left in"):
        said.extend(line for line in collect_garbage(workspace.root, unused=True, yes=True))
    assert not two.folder.exists()
    assert one.folder.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_left_and_named(workspace: Workspace) -> None:
    made = workspace.build(TEXT, _make)
    (made.folder / "content.txt").chmod(0)
    found = collect_garbage(workspace.root, unused=False)
    assert next(found).startswith(f"left sentences/{made.folder.name}: it cannot be read")
    with pytest.raises(SettingError):
        next(found)
