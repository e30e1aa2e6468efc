"""What all tests share: where ../shared is, and a workspace of their own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from mlsg.cache.workspace import Workspace

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure() -> None:
    """Have Ctrl-C mean something to the processes that tests start: a shell's background jobs begin without it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout; tests that need it are skipped without it."""
    if not _SHARED.is_dir():
        pytest.skip("../shared is not here")
    return _SHARED


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")
