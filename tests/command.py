"""Run the command line as a user would: in a process of its own, from a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """The one line that begins with `error:`; fails when there are none, several, or a traceback."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error:")]
        assert len(lines) == 1, self.err
        return lines[0]


def environment(**changes: str | None) -> dict[str, str]:
    """The environment of a user who has set nothing of mlsg's, with one thread so that results repeat."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLSG_", "HF_"))}
    wanted = {**kept, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "COLUMNS": "120", **changes}
    return {name: value for name, value in wanted.items() if value is not None}


def mlsg(*arguments: str | Path, cwd: Path, timeout: float = 300, **env: str | None) -> Ended:
    """`mlsg ARGUMENTS` in `cwd`."""
    command = [sys.executable, "-m", "mlsg", *map(str, arguments)]
    done = subprocess.run(
        command, check=False, cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=timeout
    )
    return Ended(done.returncode, done.stdout, done.stderr)
