"""Whatever a user gets wrong: the promised exit code, one line that names thing, place and remedy, workspace intact."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import REPOSITORY, environment, mlsg

_NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": None}
_PAIRS = "sentence1\tsentence2\tscore\n" + "".join(
    f"Sentence number {n} of one side.\tLine {n} on the other side.\t{n % 6}\n" for n in range(30)
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prepared sentences and an untuned encoder."""
    folder = tmp_path_factory.mktemp("prepared")
    assert mlsg("prepare", "--corpus", "starter", "--limit", "50", cwd=folder, HF_HUB_OFFLINE="1").code == 0
    untuned = ("--set", "objective.name=untuned", "--recipe", "mean")
    assert mlsg("train", "--model", "starter", *untuned, cwd=folder, HF_HUB_OFFLINE="1").code == 0
    return folder


@pytest.fixture
def intact(prepared: Path) -> Iterator[Path]:
    """The prepared folder; afterwards its artefacts must still be whole and nothing half-made look finished."""
    before = _artefacts(prepared)
    yield prepared
    assert mlsg("check", cwd=prepared).code == 0
    assert _artefacts(prepared) == before


def _artefacts(folder: Path) -> list[Path]:
    found = (folder / ".mlsg").glob("*/[!.]*")
    return sorted(path for path in found if path.parent.name != "locks")


def _language(folder: Path, name: str = "pairs.tsv", **keys: object) -> Path:
    langs = folder / "langs"
    shutil.rmtree(langs, ignore_errors=True)
    langs.mkdir()
    lines = ['code = "xx"', '[sets."mine.xx"]', f'files = "{name}"']
    lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    (langs / "xx.toml").write_text("\n".join(lines), encoding="utf-8")
    return langs


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.txt", None, "missing.txt"),
        ("empty.txt", b"", "holds no text"),
        ("blank.txt", b"\n \n\n", "holds no text"),
        ("binary.txt", bytes(range(256)) * 8, "binary.txt"),
        ("latin.txt", "Ein sch\u00f6ner Satz mit Umlaut.\n".encode("latin-1"), "line 1"),
        ("wrong.csv", b"title,body\na,b\n", "title"),
        ("wrong.jsonl", b'{"text": "A sentence that is long enough."}\n{"text": \n', "line 2"),
        ("broken.txt.gz", b"\x1f\x8b\x08\x00garbage", "broken.txt.gz"),
        ("broken.parquet", b"PAR1 no parquet", "broken.parquet"),
    ],
)
def test_text_that_cannot_be_used_is_code_3(name: str, content: bytes | None, words: str, intact: Path) -> None:
    path = intact / name
    if content is not None:
        path.write_bytes(content)
    ended = mlsg("prepare", "--source", name, cwd=intact, HF_HUB_OFFLINE="1")
    assert words in ended.error_line
    assert ended.code == 3


@pytest.mark.parametrize(
    ("content", "keys", "words"),
    [
        (None, {}, "pairs.tsv"),
        (_PAIRS, {"columns": ["sentence1", "sentence2", "gold"]}, "gold"),
        (_PAIRS.replace("\t3\n", "\tmany\n", 1), {}, "many"),
        (_PAIRS.replace("\t3\n", "\tnan\n", 1), {}, "nan"),
        (_PAIRS, {"pairs": 31}, "31"),
        ("", {}, "pairs.tsv"),
        ("\x00\x01\x02" * 300, {}, "pairs.tsv"),
        (_PAIRS, {"colums": []}, 'did you mean "columns"?'),
    ],
)
def test_pairs_that_cannot_be_used_are_named(
    content: str | None, keys: dict[str, object], words: str, intact: Path
) -> None:
    langs = _language(intact, **keys)
    if content is not None:
        (langs / "pairs.tsv").write_text(content, encoding="utf-8")
    ended = mlsg("eval", "--langs", "xx", "--langs-dir", "langs", "--json", "-", cwd=intact, HF_HUB_OFFLINE="1")
    if content is None:  # a set that is not there is skipped; that no set is there is the error
        assert ended.code == 4
    else:
        assert ended.code == (2 if "colums" in keys else 3)
    assert words in ended.error_line
    assert ended.out == ""


def test_500_lines_against_250_scores_are_an_error_unless_declared(intact: Path) -> None:
    langs = _language(intact, name="x")
    table = 'code = "xx"\n[sets."mine.xx"]\nfiles = ["in.txt", "gs.txt"]\nreader = "parallel"\n'
    (langs / "xx.toml").write_text(table, encoding="utf-8")
    (langs / "in.txt").write_text("".join(f"one {n}\tother {n}\n" for n in range(500)))
    (langs / "gs.txt").write_text("".join(f"{n % 5}\n" for n in range(250)))
    ended = mlsg("eval", "--langs", "xx", "--langs-dir", "langs", cwd=intact, HF_HUB_OFFLINE="1")
    assert ended.code == 3
    assert "500" in ended.error_line
    assert "250" in ended.error_line


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "pickle", "truncated"])
def test_a_model_that_is_no_model_is_code_3(kind: str, intact: Path) -> None:
    model = intact / f"model-{kind}"
    starter = REPOSITORY / "mlsg" / "starter" / "model"
    if kind != "missing":
        model.mkdir(exist_ok=True)
    if kind == "text":
        (model / "readme.txt").write_text("no model here")
    if kind in ("pickle", "truncated"):
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(starter / name, model / name)
    if kind == "pickle":
        (model / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    if kind == "truncated":
        (model / "model.safetensors").write_bytes((starter / "model.safetensors").read_bytes()[:5000])
    ended = mlsg("train", "--model", f"./{model.name}", "--set", "train.dev=none", cwd=intact, HF_HUB_OFFLINE="1")
    assert model.name in ended.error_line
    assert ended.code == 3


def test_a_hub_out_of_reach_is_code_4_within_seconds(intact: Path) -> None:
    ended = mlsg("prepare", "--lang", "tr", cwd=intact, timeout=20, **_NOWHERE)
    assert ended.code == 4
    ended = mlsg(
        "train",
        "--model",
        "bert-base-multilingual-cased",
        "--set",
        "train.dev=none",
        cwd=intact,
        timeout=20,
        **_NOWHERE,
    )
    assert "bert-base-multilingual-cased" in ended.error_line
    assert ended.code == 4


def test_an_interrupt_is_code_130_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"This is the sentence number {n}.\n" for n in range(400_000)))
    process = subprocess.Popen(
        [os.sys.executable, "-m", "mlsg", "prepare", "--source", "in.txt"],
        cwd=tmp_path,
        env=environment(HF_HUB_OFFLINE="1"),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob(".mlsg/sentences/.*.partial/scratch")):
        assert process.poll() is None
    process.send_signal(2)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert [line for line in err.splitlines() if line.startswith("error:")] == [
        "error: interrupted, the workspace is intact; run the same command again to go on"
    ]
    assert not list(tmp_path.glob(".mlsg/sentences/[!.]*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root only")
def test_a_full_disk_is_one_line_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (tmp_path / "in.txt").write_text("".join(f"This is the sentence number {n}.\n" for n in range(100_000)))
        ended = mlsg("prepare", "--source", "in.txt", "--workspace", small, cwd=tmp_path, HF_HUB_OFFLINE="1")
        assert "No space left" in ended.error_line
        assert ended.code == 2
        assert not list(small.glob("sentences/[!.]*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_json_on_stdout_is_pure(intact: Path) -> None:
    langs = _language(intact)
    (langs / "pairs.tsv").write_text(_PAIRS, encoding="utf-8")
    workspace = intact / "other"
    ended = mlsg(
        "eval", "--encoder", "starter", "--pooling", "mean", "--langs", "xx", "--langs-dir", "langs", "--json", "-",
        "--workspace", workspace, cwd=intact, HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["languages"]["xx"]["pairs"] == 30


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["a one\tb one\t1"], "1 pair, and a correlation needs 3"),
        (["a one\tb one\t1", "c two\td two\t3"], "2 pairs, and a correlation needs 3"),
        ([f"line {n}\tother {n}\t2" for n in range(9)], "all its gold scores are equal"),
        ([f"same\tother\t{n}" for n in range(6)], "all its cosines are equal"),
    ],
)
def test_a_set_without_a_score_says_why(rows: list[str], words: str, intact: Path) -> None:
    langs = _language(intact)
    (langs / "pairs.tsv").write_text("\n".join(["sentence1\tsentence2\tscore", *rows]) + "\n", encoding="utf-8")
    ended = mlsg(
        "eval", "--encoder", "starter", "--pooling", "mean", "--langs", "xx", "--langs-dir", "langs",
        "--workspace", intact / "other", cwd=intact, HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert f"No score for mine.xx: {'it has ' if 'pair' in words else ''}{words}" in ended.out
