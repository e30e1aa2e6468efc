"""The loopback hub, and workers that talk to it from a process and an HF_HOME of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hub.server import HubServer

_ROOT = Path(__file__).resolve().parents[2]
_FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_", "XDG_CACHE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment without the user's own hub and proxy settings, with `settings` added."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
    return {**kept, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", **settings}


@dataclass(frozen=True)
class Reply:
    """What a call gave: a value, or the error's class and line; the seconds it would have waited."""

    value: Any
    error: str
    text: str
    printed: str
    waits: list[float]


class Worker:
    """A running `tests.hub.worker`."""

    def __init__(self, environment: dict[str, str], folder: Path = _ROOT) -> None:
        command = [sys.executable, "-m", "tests.hub.worker"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        self._process = subprocess.Popen(command, env=environment, cwd=folder, **pipes)

    def call(self, call: str, **request: Any) -> Reply:
        """One method of Hub; `source` is a table of HubSource."""
        assert self._process.stdin and self._process.stdout
        print(json.dumps({"call": call, **request}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the worker died: see its traceback on stderr"
        reply = {"value": None, "error": "", "text": "", **json.loads(line)}
        assert reply["printed"] == "", "the hub's libraries must not write to stdout"
        return Reply(**reply)

    def rows(self, path: str, **source: Any) -> Reply:
        return self.call("rows", source={"path": path, **source})

    def end(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


StartWorker = Callable[..., Worker]


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        yield running


@pytest.fixture
def quiet_server(server: HubServer) -> Iterator[HubServer]:
    """The module's server with an empty log, nothing sent yet and no faults left over."""
    server.faults.clear()
    server.log.clear()
    server.sent = 0
    yield server
    server.faults.clear()


@pytest.fixture(scope="module")
def start_worker(server: HubServer) -> Iterator[StartWorker]:
    """Start a worker: `start_worker(home, HF_TOKEN="x", offline=True)`; all end with the module."""
    running: list[Worker] = []

    def start(home: Path, *, offline: bool = False, folder: Path = _ROOT, **settings: str) -> Worker:
        shut = {"HF_HUB_OFFLINE": "1", "MLSG_TEST_NO_SOCKETS": "1"} if offline else {}
        settings = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(home), **shut, **settings}
        running.append(Worker(clean_environment(**settings), folder))
        return running[-1]

    yield start
    for worker in running:
        worker.end()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module's HF_HOME."""
    return tmp_path_factory.mktemp("hf-home")


@pytest.fixture(scope="module")
def online(start_worker: StartWorker, home: Path) -> Worker:
    """The module's worker that may use the network."""
    return start_worker(home)
