"""Damaged files are never used: what a command gives is the undamaged result, made anew, or one line that says so."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

import mlsg
from mlsg.api import Sentences
from mlsg.cache import artefact as artefacts
from mlsg.cache.artefact import MANIFEST, damage, open_artefact
from mlsg.cache.files import read_sealed, sealed_json
from mlsg.cache.gc import check_hashes
from mlsg.cache.verify import damage_of, verified, verified_in
from mlsg.cache.workspace import LAST, Workspace
from mlsg.errors import DataError, MlsgError
from mlsg.report.export import export_encoder
from tests.cache.damages import DAMAGES, STAGES, contents, copied, damage_file, files_of, run, write_materials

Whole = tuple[Path, dict[str, Any], dict[str, bytes]]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_materials(tmp_path_factory.mktemp("materials"))


@pytest.fixture(scope="module")
def whole(materials: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A workspace in which all stages have run, their result, and the bytes of all artefacts."""
    workspace = tmp_path_factory.mktemp("whole") / "work"
    found = run(materials, workspace)
    assert sorted({path.relative_to(workspace).parts[0] for path in files_of(workspace)}) == sorted(
        [*STAGES, "vectors"]
    )
    return workspace, found, contents(workspace)


@pytest.mark.parametrize("kind", DAMAGES)
def test_check_sees_whatever_is_damaged_in_any_file(kind: str, whole: Whole, tmp_path: Path) -> None:
    workspace = copied(whole[0], tmp_path / "work")
    list(check_hashes(workspace))
    for path in [*files_of(workspace), workspace / LAST]:
        if path.parent.parent.name == "vectors" and kind == "deleted":
            continue  # vectors may be deleted at any time
        if path.name == LAST and kind == "deleted":
            continue
        content = path.read_bytes()
        for seed in range(3 if kind in ("flipped", "another digit") else 1):
            damage_file(path, kind, seed * 100)
            with pytest.raises(DataError, match="1 damaged artefact in"):
                list(check_hashes(workspace))
            path.write_bytes(content)
    list(check_hashes(workspace))


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_a_path_or_a_key_names_is_verified_to_the_last_byte(kind: str, whole: Whole, tmp_path: Path) -> None:
    workspace = copied(whole[0], tmp_path / "work")
    for folder in Workspace(workspace).folders():
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            content = path.read_bytes()
            damage_file(path, kind)
            with pytest.raises(DataError, match=f"damaged artefact .*{folder.name}"):
                verified_in(folder)
            path.write_bytes(content)
        assert verified_in(folder) is not None


@pytest.mark.parametrize("stage", [*STAGES, "vectors"])
@pytest.mark.parametrize("kind", ["cut", "deleted", "flipped", "another digit"])
def test_commands_give_the_undamaged_result_or_one_line(
    stage: str, kind: str, materials: Path, whole: Whole, tmp_path: Path
) -> None:
    workspace = copied(whole[0], tmp_path / "work")
    files = [path for path in files_of(workspace) if path.relative_to(workspace).parts[0] == stage]
    path = random.Random(f"{stage} {kind}").choice(files)
    if stage in ("views", "measurements"):  # read only where an encoder is trained
        next(workspace.glob("encoders/*/config.json")).unlink()
    if stage == "vectors":  # read only where scores are computed
        next(workspace.glob("scores/*/sets.json")).unlink()
    damage_file(path, kind)
    try:
        found = run(materials, workspace)
    except MlsgError as error:
        assert "damaged" in error.problem
        assert "\n" not in str(error)
    else:
        assert found == whole[1]
        assert {**contents(workspace), **_vectors(whole[2])} == whole[2]
        list(check_hashes(workspace))


def _vectors(found: dict[str, bytes]) -> dict[str, bytes]:
    """Those files, which may be written in other pieces."""
    return {name: content for name, content in found.items() if name.startswith("vectors")}


@pytest.mark.parametrize("name", ["sentences.txt", MANIFEST])
def test_a_text_that_was_cut_is_not_trained_on(name: str, materials: Path, whole: Whole, tmp_path: Path) -> None:
    workspace = copied(whole[0], tmp_path / "work")
    folder = next((workspace / "sentences").iterdir())
    given = Sentences(open_artefact(folder))
    before = sorted((workspace / "encoders").iterdir())
    damage_file(folder / name, "cut")
    small = {"max_steps": 2, "batch_size": 4, "dev": "none", "head_width": 8, "workspace": workspace}
    for sentences in (folder, str(folder), None, given) if name != MANIFEST else (folder, None):
        with pytest.raises(MlsgError, match=r"damaged artefact .*sentences|no prepared|damaged"):
            mlsg.train(materials / "base", sentences, seed=7, **small)
    assert sorted((workspace / "encoders").iterdir()) == before


@pytest.mark.parametrize("name", ["modules.json", "model.safetensors", "tokenizer.json", "mlsg.json", MANIFEST])
def test_a_damaged_encoder_is_neither_exported_nor_loaded_nor_evaluated_nor_trained_from(
    name: str, materials: Path, whole: Whole, tmp_path: Path
) -> None:
    workspace = copied(whole[0], tmp_path / "work")
    folder = next((workspace / "encoders").iterdir())
    damage_file(folder / name, "flipped")
    other = {"workspace": tmp_path / "other", "langs_dir": materials / "langs"}
    for use in (
        lambda: export_encoder(tmp_path / "out", None, workspace),
        lambda: export_encoder(tmp_path / "out", folder.name, workspace),
        lambda: export_encoder(tmp_path / "out", str(folder), workspace),
        lambda: mlsg.Encoder.from_pretrained(folder),
        lambda: mlsg.evaluate(folder, ["aa"], workspace=workspace, langs_dir=materials / "langs"),
        lambda: mlsg.evaluate(folder, ["aa"], **other),
        lambda: mlsg.train(folder, recipe="mean", **other),
    ):
        with pytest.raises(DataError, match="damaged artefact"):
            use()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "other") == ["work"]


def test_damage_in_last_json_is_one_line_and_the_next_command_begins_it_anew(
    materials: Path, whole: Whole, tmp_path: Path
) -> None:
    for kind in DAMAGES:
        workspace = copied(whole[0], tmp_path / kind)
        if kind == "deleted":
            continue
        damage_file(workspace / LAST, kind)
        with pytest.raises(DataError, match=r"last\.json is damaged"):
            Workspace(workspace).last("train")
        assert run(materials, workspace) == whole[1]
        assert Workspace(workspace).last("train") is not None


def test_a_large_file_is_hashed_once_until_its_stat_changes(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = copied(whole[0], tmp_path / "work")
    encoder = open_artefact(next((workspace / "encoders").iterdir()))
    assert encoder is not None
    monkeypatch.setattr(artefacts, "_LARGE", 1000)
    monkeypatch.setattr(artefacts, "_TICK", 0)
    plain, hashed = artefacts.sha256_file, []

    def counted(path: Path) -> str:
        hashed.append(path.relative_to(encoder.folder).as_posix())
        return plain(path)

    monkeypatch.setattr(artefacts, "sha256_file", counted)
    sizes = {name: entry["size"] for name, entry in encoder.manifest["files"].items()}
    assert damage_of(encoder) == ""
    assert hashed == list(sizes)
    hashed.clear()
    assert damage_of(encoder) == ""
    assert hashed == [name for name, size in sizes.items() if size < 1000]
    weights = encoder.folder / "model.safetensors"
    state = weights.stat()
    damage_file(weights, "flipped")
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(DataError, match=r"model\.safetensors has changed"):
        verified(encoder)


def test_nothing_is_believed_of_damaged_notes(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "_LARGE", 0)
    monkeypatch.setattr(artefacts, "_TICK", 0)
    workspace = copied(whole[0], tmp_path / "work")
    encoder = open_artefact(next((workspace / "encoders").iterdir()))
    assert encoder is not None
    for kind in DAMAGES:
        for seed in range(20 if kind in ("flipped", "another digit") else 1):
            assert damage_of(encoder) == ""
            damage_file(workspace / "used.json", kind, 100 * seed)
            assert damage_of(encoder) == ""
    for junk in ('{"encoders/x": 3}', "[]", f'{{"encoders/{encoder.folder.name}": {{"used": "x", "hashed": 3}}}}'):
        (workspace / "used.json").write_text(junk, encoding="utf-8")
        assert damage_of(encoder) == ""


def test_a_table_knows_itself_from_any_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    table = {"name": "Ünïcode", "numbers": [1, 2.5, 1e-7, None], "inner": {"b": 1, "a": {}}}
    path.write_text(sealed_json(table), encoding="utf-8")
    assert read_sealed(path) == table
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            with pytest.raises(ValueError):
                read_sealed(path)


def test_sizes_alone_are_compared_where_hashes_are_not_asked_for(workspace: Workspace) -> None:
    from tests.cache.test_workspace import REQUEST, _write_hello

    made = workspace.build(REQUEST, _write_hello)
    (made.folder / "hello.txt").write_text("Merhaba\n", encoding="utf-8")
    assert damage(made) == ""
    assert workspace.find(REQUEST) is None
