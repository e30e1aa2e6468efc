"""Peak anonymous memory of a command: what it allocates itself, files that it maps not counted. Linux only."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.02


@dataclass(frozen=True)
class Ran:
    """A command that has succeeded."""

    peak: int
    """Bytes, of the command and all its children together."""
    seconds: float
    output: str


def run(command: Sequence[str], environment: Mapping[str, str], errors: Path) -> Ran:
    """Run a command and watch its memory. Raises RuntimeError with its last lines when it fails."""
    began = time.monotonic()
    with errors.open("w+", encoding="utf-8") as said, errors.with_suffix(".out").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=said)
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(_anonymous(each) for each in _family(process.pid)))
            time.sleep(_EVERY)
        said.seek(0)
        output.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said.read()[-2000:]}")
        return Ran(peak, time.monotonic() - began, output.read())


def _family(process: int) -> Iterator[int]:
    yield process
    try:
        tasks = [path.read_text(encoding="ascii") for path in Path(f"/proc/{process}/task").glob("*/children")]
    except OSError:  # it has just ended
        return
    for child in " ".join(tasks).split():
        yield from _family(int(child))


def _anonymous(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)
