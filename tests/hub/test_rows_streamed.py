"""Streams: the same rows as a downloaded data set, none lost and none doubled over broken connections."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.conftest import Worker
from tests.hub.samples import PAIRS, as_jsonl, as_parquet, plain_parquet
from tests.hub.server import Fault, HubServer

ARTICLES = [{"id": number, "text": f"{number} – article «ž» 語 " + "word " * (number % 50)} for number in range(5000)]


def source(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "split": "train", "columns": ["id", "text"], **more}


@pytest.fixture(scope="module")
def articles(server: HubServer) -> str:
    files = {
        f"data/train-{n:05d}-of-00003.parquet": as_parquet(ARTICLES[n * 1800 : n * 1800 + 1800], group=400)
        for n in range(3)
    }
    return server.dataset("owner/wiki").commit(files)


def test_a_stream_gives_all_rows_in_order(articles: str, online: Worker) -> None:
    reply = online.call("stream", source=source("owner/wiki", revision=articles))
    assert reply.value == ARTICLES


def test_a_stream_fetches_no_more_than_is_read(quiet_server: HubServer, articles: str, online: Worker) -> None:
    reply = online.call("stream", source=source("owner/wiki", revision=articles), take=5)
    assert reply.value == ARTICLES[:5]
    assert not quiet_server.asked("GET .*resolve.*0000[12]-of-00003.parquet")


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_broken_connection_loses_no_row_and_doubles_none(quiet_server: HubServer, online: Worker, form: str) -> None:
    name = f"owner/torn-{form}"
    shards = [ARTICLES[:2500], ARTICLES[2500:]]
    stored = [as_parquet(rows, group=300) if form == "parquet" else as_jsonl(rows).encode() for rows in shards]
    quiet_server.dataset(name).commit({f"data/train-{n:05d}-of-00002.{form}": data for n, data in enumerate(stored)})
    # Of parquet, single pages and the footer are asked for: what breaks off must break off early.
    most = 300 if form == "parquet" else 10**9
    quiet_server.faults += [
        Fault(f"GET /datasets/{name}/resolve/.*00000-of-00002", times=9, after_bytes=min(most, len(stored[0]) // 3)),
        Fault(f"GET /datasets/{name}/resolve/.*00001-of-00002", times=8, after_bytes=min(most, len(stored[1]) // 2)),
    ]
    reply = online.call("stream", source=source(name), tries=6)
    assert reply.error == "", reply.text
    assert reply.value == ARTICLES
    assert not any(fault.times for fault in quiet_server.faults), "the faults must have struck"
    assert 1.0 in reply.waits, "the stream must have been opened anew"
    assert 5 not in reply.waits, "the waits of `datasets` would multiply with ours"


def test_failures_count_in_a_row_and_not_over_the_whole_stream(quiet_server: HubServer, online: Worker) -> None:
    """One fault a shard, more shards than tries: each is survived, since rows came in between."""
    shards = [ARTICLES[n * 10 : n * 10 + 10] for n in range(6)]
    files = {f"data/train-{n:05d}-of-00006.jsonl": as_jsonl(rows) for n, rows in enumerate(shards)}
    quiet_server.dataset("owner/rocky").commit(files)
    for n in range(6):
        quiet_server.faults.append(Fault(f"GET .*owner/rocky/resolve/.*0000{n}-of-00006", times=6, status=503))
    reply = online.call("stream", source=source("owner/rocky"), tries=2)
    assert reply.error == "", reply.text
    assert reply.value == ARTICLES[:60]


def test_a_connection_that_keeps_breaking_is_out_of_reach(quiet_server: HubServer, online: Worker) -> None:
    quiet_server.dataset("owner/dead").commit({"data/train-00000-of-00001.jsonl": as_jsonl(ARTICLES[:9])})
    quiet_server.faults.append(Fault("GET .*owner/dead/resolve/.*jsonl", times=9999, after_bytes=5))
    reply = online.call("stream", source=source("owner/dead"))
    assert reply.error == "HubUnreachableError" and "owner/dead" in reply.text
    assert [wait for wait in reply.waits if wait == 2.0], "it must have waited between its tries"


def test_where_and_columns_hold_for_streams(server: HubServer, online: Worker) -> None:
    server.dataset("owner/streamed-pairs").commit(plain_parquet())
    wanted = {"path": "owner/streamed-pairs", "columns": ["sentence1"], "where": {"lang": "es-es"}}
    reply = online.call("stream", source=wanted)
    assert reply.value == [{"sentence1": pair["sentence1"]} for pair in PAIRS if pair["lang"] == "es-es"]
    reply = online.call("stream", source={**wanted, "columns": ["sentence9"]})
    assert reply.error == "DataError" and 'no column "sentence9"' in reply.text
    reply = online.call("stream", source={**wanted, "split": "nix"})
    assert reply.error == "DataError" and 'no split "nix"' in reply.text
