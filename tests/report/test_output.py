"""Where `--json` and `--markdown` write: links are followed, what is not a regular file is written through."""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mlsg.cache.artefact import Artefact
from mlsg.errors import SettingError
from mlsg.report.output import print_encoder, print_scores
from tests.report.written_scores import written_scores


def give(path: Path | str | None, markdown: Path | str | None = None) -> None:
    print_scores(
        [written_scores()],
        json=None if path is None else str(path),
        markdown=None if markdown is None else str(markdown),
    )


def test_a_link_stays_and_its_target_is_replaced_in_one_step(tmp_path: Path) -> None:
    target, link, second = tmp_path / "deep" / "target.json", tmp_path / "link.json", tmp_path / "second.json"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to("deep/target.json")
    second.symlink_to(link)
    before = target.stat().st_ino
    give(second)
    assert link.is_symlink() and second.is_symlink()
    assert json.loads(target.read_text())["schema"] == "mlsg.scores/1"
    assert target.stat().st_ino != before  # a reader has the old file or the new one
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["deep", "link.json", "second.json", "target.json"]


def test_a_link_to_nothing_makes_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target.md")
    give(None, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert "| es |" in (tmp_path / "target.md").read_text()


def test_a_link_to_itself_and_a_folder_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    for wrong in (tmp_path / "link", tmp_path, tmp_path / "file" / "x.json"):
        (tmp_path / "file").touch()
        with pytest.raises(SettingError):
            give(wrong)


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()), daemon=True)
    reader.start()
    give(pipe)
    reader.join(10)
    assert json.loads(found[0])["schema"] == "mlsg.scores/1"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="a device node can be made by root only")
@pytest.mark.parametrize("minor", [3, 7], ids=["null", "full"])
def test_a_device_stays_one(minor: int, tmp_path: Path) -> None:
    """Of our own nodes, never the system's."""
    node, link = tmp_path / "own", tmp_path / "link"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        with node.open("w"):
            pass
    except OSError:
        pytest.skip("no device node can be made or opened here")
    link.symlink_to(node)
    for name in (node, link):
        if minor == 3:
            give(name)
        else:
            with pytest.raises(SettingError, match="No space left"):
                give(name)
        assert stat.S_ISCHR(node.stat().st_mode) and link.is_symlink()


def test_a_name_of_stdout_is_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled(), (tmp_path / "out").open("w") as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        give(f"/dev/fd/{out.fileno()}")
    assert json.loads((tmp_path / "out").read_text())["schema"] == "mlsg.scores/1"


@pytest.mark.parametrize(
    ("before", "after", "said"), [(0.71, 0.695, True), (0.69, 0.695, False), (0.7, 0.7, False), (None, 0.5, False)]
)
def test_training_that_ends_below_its_base_says_so(
    before: float | None, after: float, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"steps": 100, "sentences": 50, "best_dev": after, "best_step": 50, "dev_before": before}
    artefact = replace(written_scores().artefact, folder=Path("encoders/x"))
    manifest = {**artefact.manifest, "name": "x", "facts": facts, "settings": {"train": {"seed": 1}}, "seconds": 1.0}
    print_encoder(Artefact(artefact.folder, manifest))
    told = capsys.readouterr().err
    assert ("below its base" in told) == said
    assert not said or ("71.0 before training, 69.5 after" in " ".join(told.split()))
