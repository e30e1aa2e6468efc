"""Rows of data sets through a real HTTP server: which rows, of which revision, and every error in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.conftest import StartWorker, Worker
from tests.hub.samples import COLUMNS, PAIRS, as_jsonl, as_parquet, card, plain_parquet
from tests.hub.server import Fault, HubServer


def test_rows_are_those_of_the_file_in_its_order(server: HubServer, online: Worker) -> None:
    server.dataset("owner/STSPlain").commit(plain_parquet())
    expected = [{name: pair[name] for name in COLUMNS} for pair in PAIRS]
    assert online.rows("owner/STSPlain", columns=COLUMNS).value == expected
    assert online.rows("owner/STSPlain").value == list(PAIRS)  # no columns declared: all of them


def test_where_lets_only_the_named_language_through(server: HubServer, online: Worker) -> None:
    server.dataset("owner/sts17-crosslingual").commit(plain_parquet())
    reply = online.rows("owner/sts17-crosslingual", columns=COLUMNS, where={"lang": "es-es"})
    assert [row["score"] for row in reply.value] == [4.5, 2.0]
    assert list(reply.value[0]) == list(COLUMNS)


def test_where_without_any_row_names_the_values_found(server: HubServer, online: Worker) -> None:
    server.dataset("owner/sts17-wrong").commit(plain_parquet())
    reply = online.rows("owner/sts17-wrong", columns=COLUMNS, where={"lang": "es_es"})
    assert reply.error == "DataError"
    assert "lang = es_es" in reply.text and "ar-ar, en-de, es-es" in reply.text


def test_configurations_splits_and_formats(server: HubServer, online: Worker) -> None:
    files = {
        "README.md": card({"tr": {"test": "tr/*.jsonl"}, "id": {"test": "id.jsonl", "train": "id-train.jsonl"}}),
        "tr/first.jsonl": as_jsonl(PAIRS[:1]),
        "tr/second.jsonl": as_jsonl(PAIRS[1:2]),
        "id.jsonl": as_jsonl(PAIRS[2:]),
        "id-train.jsonl": as_jsonl(PAIRS[:1]),
    }
    server.dataset("owner/many").commit(files)
    assert [r["score"] for r in online.rows("owner/many", config="tr", columns=COLUMNS).value] == [4.5, 0.5]
    assert [r["score"] for r in online.rows("owner/many", config="id", columns=COLUMNS).value] == [0.0, 2.0]
    assert len(online.rows("owner/many", config="id", split="train", columns=COLUMNS).value) == 1
    reply = online.rows("owner/many", config="trr", columns=COLUMNS)
    assert reply.error == "DataError" and 'no configuration "trr"' in reply.text and 'did you mean "tr"' in reply.text
    reply = online.rows("owner/many", columns=COLUMNS)
    assert reply.error == "DataError" and "several configurations" in reply.text and "tr, id" in reply.text
    reply = online.rows("owner/many", config="tr", split="tset", columns=COLUMNS)
    assert reply.error == "DataError" and 'no split "tset"' in reply.text and 'did you mean "test"' in reply.text


def test_the_declared_default_configuration_needs_no_name(server: HubServer, online: Worker) -> None:
    configs = {"other": {"test": "b.csv"}, "wanted": {"test": "a.csv"}}
    files = {"README.md": card(configs, default="wanted"), "a.csv": "text\nä\n", "b.csv": "text\nb\n"}
    server.dataset("owner/csvs").commit(files)
    for config in ({}, {"config": None}, {"config": "default"}):
        assert online.rows("owner/csvs", columns=["text"], **config).value == [{"text": "ä"}]
    assert online.rows("owner/csvs", columns=["text"], config="other").value == [{"text": "b"}]


def test_nested_columns_and_missing_ones(server: HubServer, online: Worker) -> None:
    rows = [{"translation": {"en": "a house", "de": "ein Haus"}, "score": 3}]
    server.dataset("owner/nested").commit({"data/train-00000-of-00001.parquet": as_parquet(rows)})
    source = {"split": "train", "columns": ["translation.de", "score"]}
    assert online.rows("owner/nested", **source).value == [{"translation.de": "ein Haus", "score": 3}]
    reply = online.rows("owner/nested", split="train", columns=["scor"])
    assert reply.error == "DataError" and 'no column "scor"' in reply.text and 'did you mean "score"' in reply.text
    reply = online.rows("owner/nested", split="train", columns=["translation.fr"])
    assert reply.error == "DataError" and 'no column "translation.fr"' in reply.text


def test_a_pinned_revision_is_read_and_no_other(server: HubServer, online: Worker) -> None:
    repository = server.dataset("owner/pinned")
    old = repository.commit(plain_parquet(PAIRS[:1]))
    new = repository.commit(plain_parquet(PAIRS))
    assert len(online.rows("owner/pinned", revision=new, columns=COLUMNS).value) == 4
    assert len(online.rows("owner/pinned", revision=old, columns=COLUMNS).value) == 1
    assert len(online.rows("owner/pinned", revision="main", columns=COLUMNS).value) == 4


def test_another_cached_revision_never_stands_in_for_the_pinned_one(quiet_server: HubServer, online: Worker) -> None:
    repository = quiet_server.dataset("owner/standin")
    old = repository.commit(plain_parquet(PAIRS[:1]))
    new = repository.commit(plain_parquet(PAIRS))
    assert len(online.rows("owner/standin", revision=old).value) == 1
    # `datasets` alone would now silently give the old rows.
    quiet_server.faults.append(Fault(f"HEAD .*resolve/{new}/README.md", times=99, status=503))
    reply = online.rows("owner/standin", revision=new)
    assert (reply.error, reply.value) == ("HubUnreachableError", None)


def test_what_is_pinned_and_cached_is_not_asked_for_again(quiet_server: HubServer, online: Worker) -> None:
    commit = quiet_server.dataset("owner/once").commit(plain_parquet())
    first = online.rows("owner/once", revision=commit)
    quiet_server.log.clear()
    assert online.rows("owner/once", revision=commit).value == first.value
    assert quiet_server.log == []


def test_a_folder_of_the_same_name_is_not_taken_for_the_data_set(
    server: HubServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    server.dataset("owner/shadowed").commit(plain_parquet())
    (tmp_path / "here/owner/shadowed").mkdir(parents=True)
    (tmp_path / "here/owner/shadowed/test.csv").write_text("sentence1\nwrong\n")
    worker = start_worker(tmp_path / "home", folder=tmp_path / "here")
    assert len(worker.rows("owner/shadowed").value) == 4


def test_what_does_not_exist_is_one_line_that_names_it(server: HubServer, online: Worker) -> None:
    server.dataset("owner/there").commit(plain_parquet())
    reply = online.rows("owner/nowhere")
    assert reply.error == "DataError" and "data set owner/nowhere is not on http://" in reply.text
    reply = online.rows("owner/there", revision="v9")
    assert reply.error == "DataError" and "data set owner/there has no revision v9" in reply.text
    reply = online.rows("owner/there", revision="0" * 40)
    assert reply.error == "DataError" and "has no revision 0000000" in reply.text
    reply = online.rows("not a path")
    assert reply.error == "DataError" and '"not a path" is not the name of a data set' in reply.text


def test_a_script_data_set_is_refused(server: HubServer, online: Worker) -> None:
    server.dataset("owner/scripted").commit({**plain_parquet(), "scripted.py": "raise SystemExit('run!')"})
    for call in ("rows", "stream"):
        reply = online.call(call, source={"path": "owner/scripted"})
        assert reply.error == "DataError" and "loading script scripted.py, which mlsg never runs" in reply.text
    assert "loading script" in online.call("available", source={"path": "owner/scripted"}).value


@pytest.mark.parametrize(
    ("name", "files", "says"),
    [
        ("pickles", {"test.pkl": b"cos\nsystem\n(S'true'\ntR."}, "cannot be read"),
        ("archive", {"test.tar": b"\0" * 10240}, "is stored as webdataset"),
        ("empty", {"README.md": "# nothing"}, "cannot be read"),
        ("broken", {"test.parquet": b"PAR1 not really"}, "cannot be read"),
        ("no-utf8", {"test.csv": b"\xff\xfe\x00\x01,\n\x00\xd8"}, "cannot be read"),
        ("half-json", {"test.jsonl": b'{"a": 1}\n{"a": \n'}, "cannot be read"),
        ("ragged", {"test.csv": b"a,b\n1,2\n1,2,3,4\n"}, "cannot be read"),
        ("bad-card", {**plain_parquet(), "README.md": b"---\nconfigs: [\n---\n"}, "cannot be read"),
        ("no-file", {"README.md": card({"x": {"test": "absent.csv"}}).encode()}, "cannot be read"),
    ],
)
def test_data_that_is_not_a_table_is_one_line(
    server: HubServer, online: Worker, name: str, files: dict[str, bytes], says: str
) -> None:
    server.dataset(f"owner/{name}").commit(files)
    for call in ("rows", "stream"):
        reply = online.call(call, source={"path": f"owner/{name}"})
        assert (reply.error, reply.value) == ("DataError", None)
        assert f"owner/{name} {says}" in reply.text and "\n" not in reply.text and len(reply.text) < 400


def test_503_twice_then_success(quiet_server: HubServer, online: Worker) -> None:
    quiet_server.dataset("owner/moody").commit(plain_parquet())
    quiet_server.faults.append(Fault("GET /api/datasets/owner/moody/revision", times=2, status=503))
    reply = online.rows("owner/moody")
    assert len(reply.value) == 4
    assert reply.waits == [1.0, 2.0]


def test_a_broken_download_is_taken_up_again(quiet_server: HubServer, online: Worker) -> None:
    quiet_server.dataset("owner/torn").commit(plain_parquet())
    quiet_server.faults.append(Fault("GET /datasets/owner/torn/resolve/.*parquet", times=2, after_bytes=100))
    assert online.rows("owner/torn").value == list(PAIRS)


def test_a_hub_that_keeps_failing_is_out_of_reach(quiet_server: HubServer, online: Worker) -> None:
    quiet_server.dataset("owner/ill").commit(plain_parquet())
    quiet_server.faults.append(Fault("owner/ill", times=999, status=502))
    reply = online.rows("owner/ill")
    assert reply.error == "HubUnreachableError" and "owner/ill" in reply.text and "502" in reply.text


def test_a_gated_data_set_asks_for_the_token_and_the_token_is_sent(
    quiet_server: HubServer, online: Worker, start_worker: StartWorker, tmp_path: Path
) -> None:
    repository = quiet_server.dataset("owner/gated")
    repository.commit(plain_parquet())
    repository.token = "hf_secret"
    for worker in (online, start_worker(tmp_path / "wrong", HF_TOKEN="hf_other")):
        reply = worker.rows("owner/gated")
        assert reply.error == "DataError" and "is gated" in reply.text and "HF_TOKEN" in reply.text
        assert "hf_" not in reply.text
        assert "HF_TOKEN" in worker.call("available", source={"path": "owner/gated"}).value
        assert worker.call("check", source={"path": "owner/gated"}).error == "DataError"
    right = start_worker(tmp_path / "right", HF_TOKEN="hf_secret")
    assert right.rows("owner/gated").value == list(PAIRS)
    assert "Bearer hf_secret" in {request.authorization for request in quiet_server.asked("owner/gated")}


def test_available_says_why_not(server: HubServer, online: Worker) -> None:
    server.dataset("owner/fine").commit(plain_parquet())
    assert online.call("available", source={"path": "owner/fine"}).value == ""
    assert "owner/absent is not on" in online.call("available", source={"path": "owner/absent"}).value
