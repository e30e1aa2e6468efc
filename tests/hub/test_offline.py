"""After one use online everything works from the caches, with HF_HUB_OFFLINE=1 and every socket refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.conftest import StartWorker, Worker
from tests.hub.samples import PAIRS, as_jsonl, card, plain_parquet
from tests.hub.server import HubServer


@pytest.fixture(scope="module")
def commits(server: HubServer, online: Worker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Data sets that were used once online, in a workspace that is gone."""
    workspace = str(tmp_path_factory.mktemp("first"))
    repository = server.dataset("owner/STSBenchmarkUsed")
    old, new = (repository.commit(plain_parquet(rows)) for rows in (PAIRS[:1], PAIRS))
    many = {"a": {"test": "a.jsonl"}, "b": {"test": "b.jsonl"}}
    files = {"README.md": card(many, default="b"), "a.jsonl": as_jsonl(PAIRS[:2]), "b.jsonl": as_jsonl(PAIRS[2:])}
    server.dataset("owner/configured").commit(files)
    server.dataset("owner/unused").commit(plain_parquet())
    for source in (
        {"path": "owner/STSBenchmarkUsed"},
        {"path": "owner/STSBenchmarkUsed", "revision": old},
        {"path": "owner/configured", "config": "a"},
        {"path": "owner/configured"},
    ):
        assert online.call("rows", source=source, workspace=workspace).error == ""
    return {"old": old, "new": new}


@pytest.fixture(scope="module")
def offline(commits: dict[str, str], start_worker: StartWorker, home: Path) -> Worker:
    return start_worker(home, offline=True)


def test_main_and_pinned_revisions_are_each_themselves(
    offline: Worker, commits: dict[str, str], tmp_path: Path
) -> None:
    fresh = {"workspace": str(tmp_path)}
    assert offline.call("resolve", repo="owner/STSBenchmarkUsed", **fresh).value == commits["new"]
    assert offline.call("rows", source={"path": "owner/STSBenchmarkUsed"}, **fresh).value == list(PAIRS)
    pinned = {"path": "owner/STSBenchmarkUsed", "revision": commits["old"]}
    assert offline.call("rows", source=pinned, **fresh).value == list(PAIRS[:1])
    assert offline.call("stream", source=pinned, **fresh).value == list(PAIRS[:1])
    assert offline.call("available", source=pinned, **fresh).value == ""


def test_each_configuration_is_itself(offline: Worker) -> None:
    assert offline.rows("owner/configured", config="a").value == list(PAIRS[:2])
    assert offline.rows("owner/configured").value == list(PAIRS[2:])


def test_where_works_from_the_cache(offline: Worker) -> None:
    rows = offline.rows("owner/STSBenchmarkUsed", columns=["score"], where={"lang": "es-es"}).value
    assert rows == [{"score": 4.5}, {"score": 2.0}]


def test_what_was_never_used_is_out_of_reach_and_says_so(offline: Worker) -> None:
    for source in (
        {"path": "owner/unused"},
        {"path": "owner/STSBenchmarkUsed", "revision": "0" * 40},
        {"path": "owner/STSBenchmarkUsed", "split": "validation"},
        {"path": "owner/configured", "config": "c"},
    ):
        reply = offline.call("rows", source=source)
        assert reply.error == "HubUnreachableError"
        assert source["path"] in reply.text and "HF_HUB_OFFLINE is set" in reply.text and "--data-root" in reply.text
        assert reply.text.startswith(offline.call("available", source=source).value + "; ")
    assert offline.call("resolve", repo="owner/unused").value is None
    assert offline.call("why_unreachable").value == "HF_HUB_OFFLINE is set"


def test_a_recorded_commit_is_not_replaced_by_a_cached_newer_one(
    offline: Worker, commits: dict[str, str], tmp_path: Path
) -> None:
    record = f'{{"dataset": {{"owner/STSBenchmarkUsed": {{"main": "{commits["old"]}"}}}}}}'
    (tmp_path / "revisions.json").write_text(record)
    reply = offline.call("rows", source={"path": "owner/STSBenchmarkUsed"}, workspace=str(tmp_path))
    assert reply.value == list(PAIRS[:1])


def test_a_recorded_commit_needs_no_network(offline: Worker, tmp_path: Path) -> None:
    (tmp_path / "revisions.json").write_text(f'{{"model": {{"owner/elsewhere": {{"v1": "{"a" * 40}"}}}}}}')
    asked = {"repo": "owner/elsewhere", "revision": "v1", "workspace": str(tmp_path)}
    assert offline.call("resolve", kind="model", **asked).value == "a" * 40
    assert offline.call("resolve", kind="dataset", **asked).value is None


def test_a_dead_network_without_the_variable_does_the_same(
    commits: dict[str, str], start_worker: StartWorker, home: Path
) -> None:
    worker = start_worker(home, HF_ENDPOINT="http://127.0.0.1:9", MLSG_TEST_NO_SOCKETS="1")
    assert worker.rows("owner/STSBenchmarkUsed").value == list(PAIRS)
    reply = worker.rows("owner/unused")
    assert reply.error == "HubUnreachableError" and "127.0.0.1: " in reply.text
