"""A sample of a stream: fair, the same everywhere, gone on with anywhere, and a small share of the bytes."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.hub.conftest import StartWorker, Worker
from tests.hub.samples import as_jsonl, as_parquet
from tests.hub.server import Fault, HubServer

FILES, ROWS = 24, 600  # row groups of 100


def noise(*seed: int) -> str:
    """Text that no codec makes smaller than half."""
    return hashlib.shake_128(repr(seed).encode()).hexdigest(100)


DOCUMENTS = [
    [
        {"id": file * ROWS + row, "url": noise(file, row, 0), "text": f"{file} {row} {noise(file, row, 1)}"}
        for row in range(ROWS)
    ]
    for file in range(FILES)
]
ALL = {document["id"] for documents in DOCUMENTS for document in documents}
NAMES = [f"data/train-{file:05}-of-{FILES:05}" for file in range(FILES)]


def source(path: str = "owner/big", **more: Any) -> dict[str, Any]:
    return {"path": path, "split": "train", "columns": ["id", "text"], **more}


def ids(reply: Any) -> list[int]:
    assert reply.error == "", reply.text
    return [row["id"] for row in reply.value["rows"]]


def told(reply: Any) -> list[int]:
    """The ids of the rows that `taken` names."""
    first_of = {name: file * ROWS for file, name in enumerate(NAMES)}
    return [
        first_of[each["file"].partition(".")[0]] + each["first"] + row
        for each in reply.value["taken"]
        for row in range(each["rows"])
    ]


@pytest.fixture(scope="module")
def big(server: HubServer) -> int:
    """A data set of 24 files; how many bytes it has."""
    files = {f"{name}.parquet": as_parquet(rows, group=100) for name, rows in zip(NAMES, DOCUMENTS, strict=True)}
    server.dataset("owner/big").commit(files)
    lines = {f"{name}.jsonl": as_jsonl(rows[:60]) for name, rows in zip(NAMES[:6], DOCUMENTS, strict=False)}
    server.dataset("owner/lines").commit(lines)
    small = zip(NAMES[:6], DOCUMENTS, strict=False)
    server.dataset("owner/small").commit({f"{name}.parquet": as_parquet(rows[:60], group=25) for name, rows in small})
    return sum(len(content) for content in files.values())


def test_a_part_of_a_sample_comes_from_many_places(big: int, online: Worker) -> None:
    got = ids(online.call("stream", source=source(), sample={"rows": 10, "seed": 3}, take=600))
    files, groups = Counter(each // ROWS for each in got), Counter(each // 100 for each in got)
    assert len(got) == len(set(got)) == 600
    assert len(files) == FILES // 4
    assert max(files.values()) - min(files.values()) <= 20
    assert len(groups) == FILES // 4 * 6
    assert min(files) > 0 or len(files) < max(files), "not simply the first files"


def test_a_part_of_a_sample_costs_a_small_share_of_the_bytes(quiet_server: HubServer, big: int, online: Worker) -> None:
    assert len(ids(online.call("stream", source=source(), sample={"rows": 10, "seed": 3}, take=120))) == 120
    assert quiet_server.sent < big / 10
    assert len({request.path for request in quiet_server.asked("GET .*parquet")}) == FILES // 4
    quiet_server.sent = 0
    only = online.call("stream", source=source(columns=["id"]), sample={"rows": 10, "seed": 3}, take=120)
    assert len(ids(only)) == 120
    assert quiet_server.sent < big / 40, "columns that are not asked for are not fetched"


@pytest.mark.parametrize("path", ["owner/small", "owner/lines"])
def test_in_the_end_every_row_has_come_once(big: int, online: Worker, path: str) -> None:
    reply = online.call("stream", source=source(path), sample={"rows": 10, "seed": 5})
    assert sorted(ids(reply)) == [row["id"] for rows in DOCUMENTS[:6] for row in rows[:60]]
    assert told(reply) == ids(reply)


def test_the_seed_decides_and_nothing_else(big: int, online: Worker, start_worker: StartWorker, tmp_path: Path) -> None:
    asked = {"source": source(), "take": 200}
    first = ids(online.call("stream", sample={"rows": 10, "seed": 1}, **asked))
    assert ids(online.call("stream", sample={"rows": 10, "seed": 1}, **asked)) == first
    assert ids(start_worker(tmp_path).call("stream", sample={"rows": 10, "seed": 1}, **asked)) == first
    assert ids(online.call("stream", sample={"rows": 10, "seed": 2}, **asked)) != first


def test_a_cached_table_does_not_change_the_sample(server: HubServer, online: Worker) -> None:
    server.dataset("owner/kept").commit({f"{name}.jsonl": as_jsonl(DOCUMENTS[0][:30]) for name in NAMES[:3]})
    asked = {"source": source("owner/kept"), "sample": {"rows": 10, "seed": 1}}
    before = ids(online.call("stream", **asked))
    assert len(online.rows("owner/kept", split="train").value) == 90
    assert ids(online.call("stream", **asked)) == before


@pytest.mark.parametrize("path", ["owner/big", "owner/lines"])
@pytest.mark.parametrize("sample", [{"rows": 10, "seed": 7}, None])
@pytest.mark.parametrize("skip", [0, 1, 95, 250])
def test_going_on_gives_the_rest_and_tells_of_all(
    big: int, online: Worker, path: str, sample: dict[str, int] | None, skip: int
) -> None:
    asked: dict[str, Any] = {"source": source(path), "sample": sample}
    whole = online.call("stream", **asked, skip=0, take=300)
    rest = online.call("stream", **asked, skip=skip, take=300 - skip)
    assert rest.value["skipped"] == skip
    assert ids(rest) == ids(whole)[skip:]
    assert rest.value["taken"] == whole.value["taken"]


def test_going_on_beyond_the_end_says_how_many_there_were(big: int, online: Worker) -> None:
    for path, count in (("owner/big", len(ALL)), ("owner/lines", 360)):
        reply = online.call("stream", source=source(path), skip=10**6)
        assert (reply.value["skipped"], reply.value["rows"]) == (count, [])


def test_what_is_left_out_is_not_fetched(quiet_server: HubServer, big: int, online: Worker) -> None:
    reply = online.call("stream", source=source(), skip=len(ALL) - 50)
    assert ids(reply) == sorted(ALL)[-50:]
    assert quiet_server.sent < big / 5  # footers, and the last row group


def test_where_counts_only_the_rows_that_it_selects(big: int, online: Worker) -> None:
    asked = source("owner/small", where={"id": str(3 * ROWS + 5)}, columns=["text"])
    reply = online.call("stream", source=asked, skip=0)
    assert [row["text"][:4] for row in reply.value["rows"]] == ["3 5 "]
    assert online.call("stream", source=asked, skip=1).value["skipped"] == 1


def test_a_broken_connection_changes_nothing(quiet_server: HubServer, big: int, online: Worker) -> None:
    for path in ("owner/big", "owner/lines"):
        asked = {"source": source(path), "sample": {"rows": 10, "seed": 9}, "take": 200}
        whole = online.call("stream", **asked)
        quiet_server.faults += [
            Fault(rf"GET .*{path}/resolve", times=7, status=503),
            Fault(rf"GET .*{path}/resolve", times=9, after_bytes=1000),
        ]
        again = online.call("stream", **asked, tries=6)
        assert ids(again) == ids(whole) and again.value["taken"] == whole.value["taken"]
        assert quiet_server.faults[0].times == 0, "the faults must have struck"
        quiet_server.faults.clear()


def test_without_a_network_a_sample_is_out_of_reach(
    big: int, online: Worker, start_worker: StartWorker, home: Path
) -> None:
    assert online.rows("owner/lines", split="train").error == ""
    offline = start_worker(home, offline=True)
    assert len(offline.call("stream", source=source("owner/lines")).value) == 360
    reply = offline.call("stream", source=source("owner/lines"), sample={"rows": 10, "seed": 1})
    assert reply.error == "HubUnreachableError" and "HF_HUB_OFFLINE is set" in reply.text and "--limit" in reply.text


def test_a_wrong_column_and_a_broken_file_are_one_line(server: HubServer, big: int, online: Worker) -> None:
    reply = online.call("stream", source=source(columns=["txt"]), sample={"rows": 10, "seed": 1})
    assert reply.error == "DataError" and 'no column "txt"' in reply.text and 'did you mean "text"' in reply.text
    good = as_parquet(DOCUMENTS[0], group=100)
    for name, content in (("cut", good[:-7]), ("short", b"PAR1"), ("long", good[:-8] + b"\xff\xff\xff\x7fPAR1")):
        server.dataset(f"owner/{name}").commit({"data/train-00000-of-00001.parquet": content})
        reply = online.call("stream", source=source(f"owner/{name}"), sample={"rows": 10, "seed": 1})
        assert reply.error == "DataError" and f"owner/{name} cannot be read" in reply.text, reply.text
        assert "\n" not in reply.text and len(reply.text) < 500
