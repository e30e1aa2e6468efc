"""mlsg works from a wheel in an empty environment, and from a bare clone; both from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[1]


def _run(*command: str | Path, cwd: Path, **env: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLSG"))}
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=_REPOSITORY)
    return next(folder.glob("mlsg-*.whl"))


def test_the_wheel_carries_declarations_and_starter_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "mlsg/py.typed",
        "mlsg/langs/en.toml",
        "mlsg/pipelines/zero_shot.toml",
        "mlsg/starter/model/model.safetensors",
        "mlsg/starter/sentences/en.txt",
        "mlsg/starter/pairs/tr.tsv",
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith(("tests", "langs", "pipelines"))]


def test_the_wheel_works_in_an_empty_environment_and_folder(wheel: Path, tmp_path: Path) -> None:
    home, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    site = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=empty).strip())
    zipfile.ZipFile(wheel).extractall(site)
    # The other packages are borrowed from the environment of the test, which needs no registry.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = _run(python, "-c", "import mlsg; print(mlsg.__file__)", cwd=empty)
    assert Path(where.strip()).is_relative_to(site)
    listing = _run(python, "-m", "mlsg", "langs", cwd=empty)
    assert "Turkish" in listing
    assert "zero_shot" in _run(python, "-m", "mlsg", "show", cwd=empty)
    assert list(empty.iterdir()) == []


def test_a_bare_clone_works_without_installation(tmp_path: Path) -> None:
    listing = _run(sys.executable, "-m", "mlsg", "langs", cwd=tmp_path, PYTHONPATH=str(_REPOSITORY))
    assert "Turkish" in listing
