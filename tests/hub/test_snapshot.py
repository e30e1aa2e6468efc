"""Models from the hub: what is fetched, what never is, and what is said of models that are unfit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlsg.hub.snapshot import wanted_files
from tests.hub.conftest import StartWorker, Worker
from tests.hub.server import Fault, HubServer

CONFIG = json.dumps({"model_type": "bert"})
PICKLE = b"cos\nsystem\n(S'true'\ntR."


def small_model() -> dict[str, bytes | str]:
    return {
        ".gitattributes": "",
        "README.md": "# tiny",
        "config.json": CONFIG,
        "tokenizer.json": "{}",
        "vocab.txt": "[PAD]\n",
        "sentencepiece.bpe.model": b"\x00\x01",
        "model.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
        "modules.json": "[]",
        "1_Pooling/config.json": "{}",
        "2_Dense/config.json": "{}",
        "2_Dense/model.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
        "2_Dense/pytorch_model.bin": PICKLE,
        "pytorch_model.bin": PICKLE,
        "tf_model.h5": b"h5",
        "training_args.bin": PICKLE,
        "modeling_tiny.py": "raise SystemExit",
        "onnx/model.onnx": b"onnx",
        "onnx/config.json": "{}",
        "openvino/openvino_model.bin": b"ov",
        "model.fp16.safetensors": b"other",
    }


WANTED = {
    "README.md",
    "config.json",
    "tokenizer.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "model.safetensors",
    "modules.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
}


def files_in(folder: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


def test_configuration_tokenizer_and_safetensors_are_wanted_and_nothing_else() -> None:
    assert set(wanted_files(small_model())) == WANTED


def test_shards_are_wanted() -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    assert wanted_files(names) == names


def test_a_snapshot_holds_what_is_wanted_and_no_pickle_is_ever_asked_for(
    quiet_server: HubServer, online: Worker, tmp_path: Path
) -> None:
    commit = quiet_server.model("owner/tiny").commit(small_model())
    folder = online.call("snapshot", repo="owner/tiny", workspace=str(tmp_path)).value
    assert files_in(folder) == WANTED
    assert (Path(folder) / "config.json").read_text() == CONFIG
    assert not quiet_server.asked(r"resolve/.*\.(bin|py|h5|onnx)")
    assert json.loads((tmp_path / "revisions.json").read_text()) == {"model": {"owner/tiny": {"main": commit}}}
    quiet_server.log.clear()
    assert online.call("snapshot", repo="owner/tiny", workspace=str(tmp_path)).value == folder
    assert quiet_server.log == []


def test_a_snapshot_works_offline_after_one_use(
    server: HubServer, online: Worker, start_worker: StartWorker, home: Path, tmp_path: Path
) -> None:
    server.model("owner/used").commit(small_model())
    server.model("owner/never").commit(small_model())
    folder = online.call("snapshot", repo="owner/used", workspace=str(tmp_path / "one")).value
    offline = start_worker(home, offline=True)
    assert offline.call("snapshot", repo="owner/used", workspace=str(tmp_path / "two")).value == folder
    reply = offline.call("snapshot", repo="owner/never")
    assert reply.error == "HubUnreachableError"
    assert "model owner/never (main) is not in the local cache" in reply.text and "HF_HUB_OFFLINE is set" in reply.text


def test_a_model_of_the_early_days_is_found_under_its_bare_name(
    server: HubServer, online: Worker, start_worker: StartWorker, home: Path, tmp_path: Path
) -> None:
    commit = server.model("first-owner/early-model").commit(small_model())
    server.moved["early-model"] = "first-owner/early-model"
    folder = online.call("snapshot", repo="early-model").value
    assert files_in(folder) == WANTED
    assert online.call("resolve", repo="early-model", kind="model").value == commit
    offline = start_worker(home, offline=True)
    assert offline.call("snapshot", repo="early-model", workspace=str(tmp_path)).value == folder


def test_half_a_snapshot_is_not_taken_for_a_whole_one(quiet_server: HubServer, online: Worker) -> None:
    index = json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    )
    files = {"config.json": CONFIG, "model.safetensors.index.json": index}
    files |= {f"model-0000{n}-of-00002.safetensors": f"shard {n}" for n in (1, 2)}
    quiet_server.model("owner/sharded").commit(files)
    quiet_server.faults.append(Fault("owner/sharded/resolve/.*00002-of-00002", times=999, status=503))
    assert online.call("snapshot", repo="owner/sharded").error == "HubUnreachableError"
    quiet_server.faults.clear()
    assert files_in(online.call("snapshot", repo="owner/sharded").value) == set(files)


@pytest.mark.parametrize(
    "index",
    [b"", b"{", b"[]", b"3", b'{"weight_map": 3}', b'{"weight_map": ["a"]}', b'{"weight_map": {"a": 3}}', b"\xff\x00",
     b'{"weight_map": {"a": ""}}', b'{"weight_map": {"a": "x/../../y"}}', b"{}", b"[" * 99999],
)  # fmt: skip
def test_a_damaged_index_of_weights_in_the_cache_is_one_line(
    start_worker: StartWorker, tmp_path: Path, index: bytes
) -> None:
    folder = tmp_path / "hub/models--owner--sharded/snapshots" / ("c" * 40)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(CONFIG)
    (folder / "model-00001-of-00001.safetensors").write_bytes(b"")
    (folder / "model.safetensors.index.json").write_bytes(index)
    reply = start_worker(tmp_path, offline=True).call("snapshot", repo="owner/sharded", revision="c" * 40)
    assert reply.error == "ModelError" and "owner/sharded is damaged in the cache" in reply.text
    assert f"delete {tmp_path / 'hub/models--owner--sharded'}; the model is then downloaded again" in reply.text


@pytest.mark.parametrize(
    ("name", "files", "says"),
    [
        (
            "pickled",
            {"config.json": CONFIG, "pytorch_model.bin": PICKLE},
            "has only pickled weights (pytorch_model.bin)",
        ),
        ("half-pickled", {**small_model(), "3_Dense/pytorch_model.bin": PICKLE}, "(3_Dense/pytorch_model.bin)"),
        ("keras", {"config.json": CONFIG, "tf_model.h5": b""}, "has no model.safetensors"),
        ("no-config", {"model.safetensors": b""}, "has no config.json"),
    ],
)
def test_an_unfit_model_is_one_line(
    server: HubServer, online: Worker, name: str, files: dict[str, bytes | str], says: str
) -> None:
    server.model(f"owner/{name}").commit(files)
    reply = online.call("snapshot", repo=f"owner/{name}")
    assert reply.error == "ModelError" and says in reply.text and f"owner/{name}" in reply.text


def test_a_model_that_does_not_exist_is_one_line(server: HubServer, online: Worker) -> None:
    server.model("owner/here").commit(small_model())
    reply = online.call("snapshot", repo="owner/nope")
    assert reply.error == "ModelError" and "model owner/nope is not on http://" in reply.text
    reply = online.call("snapshot", repo="owner/here", revision="v9")
    assert reply.error == "ModelError" and "model owner/here has no revision v9" in reply.text


def test_a_gated_model_asks_for_the_token(
    server: HubServer, online: Worker, start_worker: StartWorker, tmp_path: Path
) -> None:
    repository = server.model("owner/locked")
    repository.commit(small_model())
    repository.token = "hf_secret"
    reply = online.call("snapshot", repo="owner/locked")
    assert reply.error == "ModelError" and "is gated" in reply.text and "set HF_TOKEN" in reply.text
    worker = start_worker(tmp_path, HF_TOKEN="hf_secret")
    assert files_in(worker.call("snapshot", repo="owner/locked").value) == WANTED
