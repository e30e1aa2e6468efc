"""The shape of the package (docs/design.md, part 1): imports run downward only and never in a circle, files stay small,
and nothing unpickles or runs remote code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

MOST_FILES, MOST_LINES, MOST_LINES_OF_A_FILE, MOST_LINES_OF_THE_MEDIAN_FILE = 165, 18_200, 420, 120
"""Of the package without `pretraining/`."""

_PACKAGE = Path(__file__).resolve().parents[1] / "mlsg"
_FLOORS = (
    {"console", "errors"},
    {"cache", "config"},
    {"hub", "context"},
    {"model", "objectives", "transforms", "data", "text"},
    {"prepare", "join", "back_translate", "train", "pretraining", "evaluate", "report"},
    {"api"},
    {"compare"},
    {"cli", "exit_codes", "__main__"},
)
_FLOOR_OF = {name: number for number, names in enumerate(_FLOORS) for name in names}
_SOURCES = sorted(path for path in _PACKAGE.rglob("*.py") if path != _PACKAGE / "__init__.py")

Graph = Mapping[str, Set[str]]


def _module(path: Path, package: Path = _PACKAGE) -> str:
    """Dotted name below `mlsg`: `train.loop`; of a folder's `__init__.py` the folder's."""
    return ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path) -> Iterator[str]:
    """What a file imports of `mlsg`, inside functions too but not for types: `train.loop`, `train.loop.fit`."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (name for alias in node.names for name in _below(f"{node.module}.{alias.name}"))
        elif isinstance(node, ast.Import):
            yield from (name for alias in node.names for name in _below(alias.name))
        else:
            waiting += ast.iter_child_nodes(node)


def _below(name: str) -> list[str]:
    return [name.removeprefix("mlsg.")] if name.startswith("mlsg.") else []


def _files(sources: Iterable[Path], package: Path = _PACKAGE) -> Graph:
    """Module -> the modules that it imports from, a folder's `__init__.py` only where a name of its own is imported."""
    modules = {_module(path, package): path for path in sources}
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        for name in _imported(path):
            parts = name.split(".")
            prefixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
            graph[module].update([each for each in prefixes if each in modules][:1])
    return graph


def _folders(files: Graph) -> Graph:
    """The same one level up: each folder (or file) directly below `mlsg`."""
    graph: dict[str, set[str]] = {}
    for module, imported in files.items():
        own = module.partition(".")[0]
        graph.setdefault(own, set()).update({each.partition(".")[0] for each in imported} - {own})
    return graph


def _circle(graph: Graph) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


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
    own = _FLOOR_OF[_module(path).partition(".")[0]]
    for name in _imported(path):
        assert _FLOOR_OF.get(name.partition(".")[0], 0) <= own, f"{path} imports mlsg.{name}"


def test_every_file_has_a_floor() -> None:
    assert {_module(path).partition(".")[0] for path in _SOURCES} == set(_FLOOR_OF)


def test_files_do_not_import_one_another_in_a_circle() -> None:
    assert _circle(_files(_SOURCES)) == []


def test_folders_do_not_import_one_another_in_a_circle() -> None:
    assert _circle(_folders(_files(_SOURCES))) == []


def test_the_package_stays_small() -> None:
    counted = [path for path in _PACKAGE.rglob("*.py") if "pretraining" not in path.parts]
    lines = {path.relative_to(_PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines()) for path in counted}
    largest = max(lines, key=lambda name: lines[name])
    assert len(lines) <= MOST_FILES
    assert sum(lines.values()) <= MOST_LINES
    assert lines[largest] <= MOST_LINES_OF_A_FILE, largest
    assert median(lines.values()) <= MOST_LINES_OF_THE_MEDIAN_FILE


@pytest.mark.parametrize("path", _SOURCES, ids=lambda path: path.relative_to(_PACKAGE).as_posix())
def test_no_file_unpickles_or_trusts_remote_code(path: Path) -> None:
    forbidden = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "torch.load", "torch.save", "eval", "exec"}
    used = forbidden & set(_called_names(path))
    assert not used
    assert "trust_remote_code=True" not in path.read_text(encoding="utf-8").replace(" ", "")
    assert "allow_pickle=True" not in path.read_text(encoding="utf-8").replace(" ", "")


def _package(folder: Path, **files: str) -> list[Path]:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/', 1)}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return sorted(folder.rglob("*.py"))


def test_a_file_that_imports_upward_would_be_seen(tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text("def f():\n    from mlsg.train import fit\n    import mlsg.cli\nfrom mlsg import console\n")
    assert sorted(_imported(source)) == ["cli", "console", "train.fit"]


def test_a_planted_circle_of_files_would_be_seen_and_one_for_types_not(tmp_path: Path) -> None:
    one, back = "from mlsg.b.two import g\n", "def g():\n    from mlsg.b import one\n"
    sources = _package(tmp_path, b__one=one, b__two=back, b__three="from mlsg.b.one import f\n")
    assert sorted(set(_circle(_files(sources, tmp_path)))) == ["b.one", "b.two"]
    assert _circle(_folders(_files(sources, tmp_path))) == []
    (tmp_path / "b" / "two.py").write_text("if TYPE_CHECKING:\n    from mlsg.b import one\n")
    assert _circle(_files(sources, tmp_path)) == []


def test_a_planted_circle_of_folders_of_one_floor_would_be_seen(tmp_path: Path) -> None:
    sources = _package(tmp_path, model__a="import mlsg.text.b\n", text__b="", text__c="from mlsg.model.d import x\n")
    _package(tmp_path, model__d="")
    files = _files([*sources, tmp_path / "model" / "d.py"], tmp_path)
    assert _circle(files) == []
    assert sorted(set(_circle(_folders(files)))) == ["model", "text"]


def test_a_folder_that_imports_its_file_which_imports_it_back_would_be_seen(tmp_path: Path) -> None:
    sources = _package(tmp_path, c____init__="from mlsg.c.a import x\n", c__a="from mlsg.c import y\n")
    assert sorted(set(_circle(_files(sources, tmp_path)))) == ["c", "c.a"]
