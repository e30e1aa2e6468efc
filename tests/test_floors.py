"""The shape of the package (design, part 1): imports run downward only, and nothing unpickles or runs remote code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).resolve().parents[1] / "mlsg"
_FLOORS = (
    {"console", "errors"},
    {"cache", "config"},
    {"hub", "context"},
    {"model", "objectives", "data", "text"},
    {"prepare", "train", "pretraining", "evaluate", "report"},
    {"api"},
    {"explain"},
    {"cli", "exit_codes", "__main__"},
)
_FLOOR_OF = {name: number for number, names in enumerate(_FLOORS) for name in names}
_SOURCES = sorted(path for path in _PACKAGE.rglob("*.py") if path != _PACKAGE / "__init__.py")


def _part(path: Path) -> str:
    return path.relative_to(_PACKAGE).parts[0].removesuffix(".py")


def _imported_parts(path: Path) -> Iterator[str]:
    """First name under `mlsg` of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "mlsg":
                yield from (alias.name for alias in node.names if alias.name in _FLOOR_OF)
            elif node.module and node.module.startswith("mlsg."):
                yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mlsg."))


def _called_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", _SOURCES, ids=lambda path: path.relative_to(_PACKAGE).as_posix())
def test_no_file_imports_a_higher_floor(path: Path) -> None:
    for part in _imported_parts(path):
        assert _FLOOR_OF[part] <= _FLOOR_OF[_part(path)], f"{path} imports mlsg.{part}"


@pytest.mark.parametrize("path", _SOURCES, ids=lambda path: path.relative_to(_PACKAGE).as_posix())
def test_no_file_unpickles_or_trusts_remote_code(path: Path) -> None:
    forbidden = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "torch.load", "torch.save", "eval", "exec"}
    used = forbidden & set(_called_names(path))
    assert not used
    assert "trust_remote_code=True" not in path.read_text(encoding="utf-8").replace(" ", "")
    assert "allow_pickle=True" not in path.read_text(encoding="utf-8").replace(" ", "")


def test_a_file_that_imports_upward_would_be_seen(tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text("def f():\n    from mlsg.train import train\n    import mlsg.cli\n")
    assert list(_imported_parts(source)) == ["train", "cli"]
