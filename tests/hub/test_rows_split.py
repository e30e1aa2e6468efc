"""Only the split that is asked for is downloaded; the hub's own parquet copy; tables that are damaged in the cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsg.config.catalog import HubSource
from mlsg.errors import DataError
from mlsg.hub import libraries
from mlsg.hub.retry import RetryPolicy
from mlsg.hub.rows import cached_table, read_rows
from tests.hub.conftest import StartWorker, Worker
from tests.hub.samples import PAIRS, as_jsonl, as_parquet, card, plain_parquet
from tests.hub.server import HubServer

TRAIN = [{**PAIRS[0], "score": float(number)} for number in range(500)]


def described(splits: dict[str, int]) -> str:
    """A card that says how many rows each split has, and that all of them need a million gigabytes."""
    lines = [f"    - name: {name}\n      num_bytes: 9\n      num_examples: {count}\n" for name, count in splits.items()]
    features = "    features:\n    - name: sentence1\n      dtype: string\n    - name: sentence2\n      dtype: string\n"
    more = "    - name: score\n      dtype: float64\n    - name: lang\n      dtype: string\n"
    sizes = f"    download_size: {10**15}\n    dataset_size: {10**15}\n"
    head = f"dataset_info:\n    config_name: default\n{features}{more}    splits:\n{''.join(lines)}{sizes}"
    files = "".join(f"  - split: {name}\n    path: data/{name}-*\n" for name in splits)
    return f"---\n{head}configs:\n- config_name: default\n  data_files:\n{files}---\n"


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("with_card", [True, False])
def test_only_the_split_that_is_asked_for_is_downloaded(
    quiet_server: HubServer, online: Worker, form: str, with_card: bool
) -> None:
    def stored(rows: list[dict[str, object]]) -> bytes:
        if form == "csv":
            return ("sentence1\n" + "".join(f"{row['score']}\n" for row in rows)).encode()
        return as_parquet(rows) if form == "parquet" else as_jsonl(rows).encode()

    name = f"owner/splits-{form}-{with_card}"
    files: dict[str, bytes | str] = {
        f"data/train-00000-of-00001.{form}": stored([dict(row) for row in TRAIN]),
        f"data/test-00000-of-00001.{form}": stored([dict(row) for row in PAIRS]),
    }
    card_of = card({"default": {"train": "data/train-*", "test": "data/test-*"}}) if form == "csv" else ""
    if with_card:
        files["README.md"] = card_of or described({"train": 500, "test": 4})
    quiet_server.dataset(name).commit(files)
    assert len(online.rows(name, columns=["sentence1"]).value) == 4
    assert quiet_server.asked(f"GET .*{name}/resolve/.*/data/test-")
    assert not quiet_server.asked(f"GET .*{name}/resolve/.*/data/train-")
    assert len(online.rows(name, split="train", columns=["sentence1"]).value) == 500
    quiet_server.log.clear()
    assert len(online.rows(name, columns=["sentence1"]).value) == 4  # the second split has not replaced the first
    assert not quiet_server.asked("resolve")


def test_a_card_that_counts_other_rows_is_still_refused(server: HubServer, online: Worker) -> None:
    files = {"README.md": described({"test": 5, "train": 1}), **plain_parquet()}
    server.dataset("owner/miscounted").commit({**files, "data/train-0.parquet": as_parquet(PAIRS[:1])})
    reply = online.rows("owner/miscounted")
    assert reply.error == "DataError" and "owner/miscounted cannot be read" in reply.text


def test_splits_added_together_are_read_as_before(server: HubServer, online: Worker) -> None:
    server.dataset("owner/sum").commit({"test.jsonl": as_jsonl(PAIRS[:1]), "train.jsonl": as_jsonl(PAIRS[1:])})
    assert len(online.rows("owner/sum", split="train+test").value) == 4
    assert len(online.call("stream", source={"path": "owner/sum", "split": "train+test"}).value) == 4


def test_the_users_own_cache_of_datasets_is_used_and_not_disturbed(
    server: HubServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    """`mlsg` keeps its tables where `datasets` does not look for any."""
    server.dataset("owner/shared").commit({"test.jsonl": as_jsonl(PAIRS), "train.jsonl": as_jsonl(TRAIN)})
    online = start_worker(tmp_path)
    assert len(online.rows("owner/shared").value) == 4
    assert [path.name for path in (tmp_path / "datasets").iterdir() if path.is_dir()] == ["mlsg"]


@pytest.fixture(scope="module")
def converted(server: HubServer) -> str:
    """A data set of a script, and the hub's parquet copy of it on a branch of its own."""
    repository = server.dataset("owner/convertible")
    main = repository.commit({"convertible.py": "raise SystemExit('run!')", "README.md": card({"b": {"test": "x"}})})
    copy: dict[str, bytes | str] = {".gitattributes": ""}
    for config, rows in (("a", PAIRS[:1]), ("b", PAIRS)):
        copy |= {f"{config}/test/{n:04}.parquet": as_parquet([row]) for n, row in enumerate(rows)}
        copy[f"{config}/train/0000.parquet"] = as_parquet(TRAIN)
    repository.commit(copy, branch="refs/convert/parquet")
    return main


def test_where_a_script_is_refused_the_parquet_copy_is_offered_and_works(
    quiet_server: HubServer, converted: str, online: Worker, start_worker: StartWorker, home: Path, tmp_path: Path
) -> None:
    refused = online.rows("owner/convertible", config="b")
    assert refused.error == "DataError" and 'revision = "refs/convert/parquet"' in refused.text
    wanted = {"path": "owner/convertible", "revision": "refs/convert/parquet"}
    for config, rows in (("a", PAIRS[:1]), ("b", PAIRS)):
        asked = {"source": {**wanted, "config": config}, "workspace": str(tmp_path)}
        assert online.call("stream", **asked).value == list(rows)
        assert online.call("rows", **asked).value == list(rows)
        assert online.call("available", **asked).value == ""
    assert not quiet_server.asked("GET .*/train/")
    recorded = json.loads((tmp_path / "revisions.json").read_text())["dataset"]["owner/convertible"]
    assert (
        recorded["refs/convert/parquet"] == quiet_server.dataset("owner/convertible").branches["refs/convert/parquet"]
    )
    offline = start_worker(home, offline=True)
    assert offline.call("rows", source={**wanted, "config": "b"}, workspace=str(tmp_path / "new")).value == list(PAIRS)


def test_a_wrong_configuration_or_split_of_the_parquet_copy_is_named(converted: str, online: Worker) -> None:
    wanted = {"path": "owner/convertible", "revision": "refs/convert/parquet"}
    for call in ("rows", "stream"):
        reply = online.call(call, source=wanted)
        assert reply.error == "DataError" and 'no configuration "default"' in reply.text and "known: a, b" in reply.text
        reply = online.call(call, source={**wanted, "config": "a", "split": "tset"})
        assert reply.error == "DataError" and 'no split "tset"' in reply.text and 'did you mean "test"' in reply.text


def test_the_only_configuration_of_a_parquet_copy_needs_no_name(server: HubServer, online: Worker) -> None:
    server.dataset("owner/lone").commit({"plain_text/test/0000.parquet": as_parquet(PAIRS)}, "refs/convert/parquet")
    assert online.rows("owner/lone", revision="refs/convert/parquet").value == list(PAIRS)


# Damage.


@pytest.fixture(scope="module")
def table(server: HubServer, online: Worker, home: Path) -> Path:
    """The Arrow file of a table that was used once online."""
    server.dataset("owner/damaged").commit({"test.jsonl": as_jsonl(PAIRS * 30), "train.jsonl": as_jsonl(TRAIN)})
    assert len(online.rows("owner/damaged").value) == 120
    (path,) = (home / "datasets/mlsg").glob("owner___damaged-*/*.arrow")
    return path


@pytest.fixture
def copy(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that table as a cache of its own."""
    folder = tmp_path / "datasets/mlsg" / table.parent.name
    shutil.copytree(table.parent, folder)
    monkeypatch.setattr(libraries, "datasets_cache", lambda: tmp_path / "datasets")
    return folder / table.name


def rewrite(path: Path, content: bytes) -> None:
    """As a new file: the old one may be mapped into memory."""
    path.unlink()
    path.write_bytes(content)


def read(server: HubServer) -> list[object]:
    commit = server.dataset("owner/damaged").branches["main"]
    source = HubSource("owner/damaged", revision=commit, columns=("sentence1", "score"))
    assert cached_table(source, commit)
    return list(read_rows(source, commit, RetryPolicy(tries=1)))


def assert_refused(server: HubServer, folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(server)
    assert "owner/damaged is damaged in the cache" in str(caught.value)
    assert f"delete {folder}; the data set is then downloaded again" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_a_cut_or_empty_table_is_named_with_its_folder(server: HubServer, copy: Path) -> None:
    content = copy.read_bytes()
    assert len(read(server)) == 120
    for length in (0, 3, 8, 200, len(content) // 2, len(content) - 9, len(content) - 300):
        rewrite(copy, content[:length])
        assert_refused(server, copy.parent)
    rewrite(copy, b"not a table at all" * 100)
    assert_refused(server, copy.parent)


def test_a_table_that_lacks_rows_is_not_used(server: HubServer, copy: Path) -> None:
    """An Arrow stream that ends between two batches is a stream: the count beside it tells."""
    whole = pyarrow.ipc.open_stream(copy.read_bytes()).read_all()
    copy.unlink()
    with pyarrow.OSFile(str(copy), "wb") as file, pyarrow.ipc.new_stream(file, whole.schema) as writer:
        writer.write_table(whole.slice(0, 100))
    assert_refused(server, copy.parent)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"splits": 3}', "\0", '{"splits": {"test": {}}}', "[" * 99999]
)
def test_a_damaged_description_beside_a_table_is_named(server: HubServer, copy: Path, text: str) -> None:
    (copy.parent / "dataset_info.json").write_text(text)
    assert_refused(server, copy.parent)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_that_are_changed_never_end_in_a_traceback(
    server: HubServer, table: Path, home: Path, data: st.DataObject
) -> None:
    """Whatever byte is changed: the rows are read (the change was in a value), or the folder is named."""
    original = table.read_bytes()
    content = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    rewrite(table, content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libraries, "datasets_cache", lambda: home / "datasets")
        try:
            assert len(read(server)) == 120
        except DataError as error:
            assert "damaged in the cache" in str(error) or "has no column" in str(error)
        finally:
            rewrite(table, original)


def test_a_table_that_lacks_a_file_is_downloaded_anew(
    server: HubServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    server.dataset("owner/again").commit({"test.jsonl": as_jsonl(PAIRS)})
    assert start_worker(tmp_path).rows("owner/again").value == list(PAIRS)
    (path,) = (tmp_path / "datasets/mlsg").glob("*/*.arrow")
    path.unlink()
    assert start_worker(tmp_path).rows("owner/again").value == list(PAIRS)


@pytest.mark.parametrize(
    "content",
    [
        b"---\nconfigs: [\n---\n",
        b"---\n- 1\n---\n",
        b"\xff\xfe\x00",
        b"---\nconfigs: 3\n---\n",
        b"---\nconfigs: [3]\n---\n",
    ],
)
def test_a_damaged_card_in_the_cache_is_one_line(
    server: HubServer, online: Worker, start_worker: StartWorker, tmp_path: Path, content: bytes
) -> None:
    """Of a data set that `datasets` itself prepared: only its card says which configuration has no name."""
    stem = tmp_path / "datasets/owner___carded/x/0.0.0" / ("c" * 40)
    stem.mkdir(parents=True)
    (stem / "carded-test.arrow").touch()
    found = tmp_path / "hub/datasets--owner--carded/snapshots" / ("c" * 40)
    found.mkdir(parents=True)
    (found / "README.md").write_bytes(content)
    reply = start_worker(tmp_path, offline=True).rows("owner/carded", revision="c" * 40)
    assert reply.error in ("DataError", "HubUnreachableError") and "owner/carded" in reply.text
    assert "\n" not in reply.text and ("delete" in reply.text or "connect" in reply.text)
