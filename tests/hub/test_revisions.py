"""What a branch meant when it was first used stays so for a workspace."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlsg.errors import SettingError
from mlsg.hub import libraries, revisions
from tests.hub.conftest import StartWorker, Worker
from tests.hub.samples import PAIRS, plain_parquet
from tests.hub.server import Fault, HubServer

ONE, TWO = "1" * 40, "2" * 40


def test_main_once_resolved_stays_when_main_moves_on(server: HubServer, online: Worker, tmp_path: Path) -> None:
    repository = server.dataset("owner/moving")
    first = repository.commit(plain_parquet(PAIRS[:1]))
    kept = {"workspace": str(tmp_path / "kept")}
    assert online.call("resolve", repo="owner/moving", **kept).value == first
    second = repository.commit(plain_parquet(PAIRS))
    assert online.call("resolve", repo="owner/moving", **kept).value == first
    assert len(online.call("rows", source={"path": "owner/moving"}, **kept).value) == 1
    written = json.loads((tmp_path / "kept/revisions.json").read_text())
    assert written == {"dataset": {"owner/moving": {"main": first}}}
    repository.commit(plain_parquet(PAIRS[:2]), branch="elsewhere")
    assert online.call("resolve", repo="owner/moving", revision="elsewhere", **kept).value not in (first, second)
    assert online.call("resolve", repo="owner/moving", workspace=str(tmp_path / "kept")).value == first


def test_a_failing_hub_leaves_what_the_cache_knows(
    quiet_server: HubServer, online: Worker, start_worker: StartWorker, home: Path, tmp_path: Path
) -> None:
    commit = quiet_server.dataset("owner/known").commit(plain_parquet())
    quiet_server.dataset("owner/unknown").commit(plain_parquet())
    assert online.rows("owner/known").value == list(PAIRS)
    quiet_server.faults.append(Fault("/api/", times=999, status=503))
    later = start_worker(home)
    assert later.call("resolve", repo="owner/known", workspace=str(tmp_path)).value == commit
    assert later.rows("owner/known").value == list(PAIRS)
    assert later.call("resolve", repo="owner/unknown").error == "HubUnreachableError"


def test_a_full_commit_is_itself_and_asks_nobody(quiet_server: HubServer, online: Worker, tmp_path: Path) -> None:
    assert online.call("resolve", repo="no/such", revision=ONE, workspace=str(tmp_path)).value == ONE
    assert quiet_server.log == []
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_many_writers_wins(tmp_path: Path) -> None:
    def write(number: int) -> str:
        return revisions.record(tmp_path, "dataset", "owner/x", "main", f"{number:040x}")

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(write, range(24)))
    assert len(answers) == 1
    assert revisions.recorded(tmp_path, "dataset", "owner/x", "main") in answers


def test_entries_of_others_are_kept(tmp_path: Path) -> None:
    revisions.record(tmp_path, "dataset", "owner/x", "main", ONE)
    revisions.record(tmp_path, "model", "owner/x", "main", TWO)
    revisions.record(tmp_path, "dataset", "owner/x", "v1", TWO)
    assert revisions.recorded(tmp_path, "dataset", "owner/x", "main") == ONE
    assert revisions.recorded(tmp_path, "model", "owner/x", "main") == TWO
    assert revisions.recorded(tmp_path, "model", "owner/y", "main") is None


DAMAGED = ["{", "[]", '{"dataset": 3}', "\0\1", '{"dataset": {"owner/x": 3}}', '{"dataset": {"owner/x": {"main": 5}}}']
DAMAGED += ['{"dataset": {"owner/x": {"main": "../../etc"}}}', "[" * 99999]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "revisions.json").write_text(text)
    with pytest.raises(SettingError, match=r"revisions\.json is damaged; delete it"):
        revisions.recorded(tmp_path, "dataset", "owner/x", "main")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"main", b"../../../etc/passwd", b"f" * 39, b"f" * 9999])
def test_a_damaged_ref_of_the_cache_is_no_ref(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(libraries, "hub_cache", lambda: tmp_path)
    revisions.note_in_cache("dataset", "owner/ref", "main", ONE)
    assert revisions.cached("dataset", "owner/ref", "main") == ONE
    (tmp_path / "datasets--owner--ref/refs/main").write_bytes(content)
    assert revisions.cached("dataset", "owner/ref", "main") is None
    revisions.note_in_cache("dataset", "owner/ref", "main", TWO)
    assert revisions.cached("dataset", "owner/ref", "main") == TWO


def test_with_a_damaged_ref_the_hub_is_asked_and_without_a_network_it_is_one_line(
    server: HubServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    server.dataset("owner/ref").commit(plain_parquet())
    ref = tmp_path / "hub/datasets--owner--ref/refs/main"
    ref.parent.mkdir(parents=True)
    ref.write_bytes(b"\xff\xfe\x00")
    reply = start_worker(tmp_path, offline=True).rows("owner/ref")
    assert reply.error == "HubUnreachableError" and "connect to the network once" in reply.text
    assert start_worker(tmp_path).rows("owner/ref").value == list(PAIRS)


def test_a_workspace_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"the workspace .*file cannot be written"):
        revisions.record(tmp_path / "file", "dataset", "owner/x", "main", ONE)
