"""What mlsg computes against others' code, on local data: one line each, exit code 1 if one of them differs.

    python -m tests.audit [--data-root ../shared/data] [--encoder ../shared/models/mini] [--only sets]

The parts: `sets` (every local pair set against scipy and sentence-transformers), `encoders` (five architectures by
poolings against sentence-transformers), `training` (30 steps against a plain loop), `processes` (1, 2 and 3 processes
with dropout), `intervals` (coverage by simulation), `cases` (samples that once went wrong).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mlsg.model.pretrained import quiet_transformers
from tests.audit import cases, encoders, intervals, processes, sets, training
from tests.audit.finding import Finding

_SHARED = Path(__file__).resolve().parents[3] / "shared"


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each comparison, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=_SHARED / "data")
    parser.add_argument("--encoder", type=Path, default=_SHARED / "models" / "mini")
    parser.add_argument("--only", default="", help="parts whose name holds this")
    given = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    parts: dict[str, Callable[[], Iterator[Finding]]] = {
        "encoders": encoders.findings,
        "training": training.findings,
        "processes": processes.findings,
        "intervals": intervals.findings,
        "cases": lambda: cases.findings(given.data_root.parent),
        "sets": lambda: sets.findings(given.data_root, given.encoder),
    }
    differing = 0
    for name, findings in parts.items():
        if given.only in name:
            began = time.monotonic()
            with quiet_transformers():
                for finding in findings():
                    differing += not finding.holds
                    print(f"{name:10} {finding}", flush=True)
            print(f"{name:10} {time.monotonic() - began:.0f} s", flush=True)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
