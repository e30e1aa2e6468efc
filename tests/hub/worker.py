"""A process of its own that does what a test asks of `Hub`: HF_* variables are read once, when libraries are imported.

Requests and answers are JSON lines. stdout belongs to the answers; whatever the code under test prints there is caught
and told. Waits are not slept but told too. With MLSG_TEST_NO_SOCKETS every connection is refused.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import socket
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlsg.errors import MlsgError
from mlsg.hub import Hub, RowStream, Sample
from mlsg.hub.retry import RetryPolicy


def refuse(*_: object) -> None:
    raise ConnectionRefusedError("no socket may be opened in this test")


def answer(request: dict[str, Any]) -> object:
    from mlsg.config.catalog import HubSource

    workspace = request.pop("workspace", None)
    hub = Hub(Path(workspace) if workspace else None, RetryPolicy(tries=request.pop("tries", 3)))
    call, take, skip, sample = (request.pop(name, None) for name in ("call", "take", "skip", "sample"))
    if "source" in request:
        table = request.pop("source")
        source = HubSource(**{**table, "columns": tuple(table.get("columns", ()))})
        result = hub.stream(source, Sample(**sample)) if sample else getattr(hub, call)(source)
    else:
        result = getattr(hub, call)(**request)
    if skip is not None or sample:
        assert isinstance(result, RowStream)
        skipped = result.skip(skip or 0)
        rows = list(itertools.islice(result, take))
        return {"skipped": skipped, "rows": rows, "taken": [asdict(taken) for taken in result.taken if taken.rows]}
    if call in ("rows", "stream"):
        return list(itertools.islice(result, take))
    return str(result) if isinstance(result, Path) else result


def main() -> None:
    answers, sys.stdout = sys.stdout, io.StringIO()
    if os.environ.get("MLSG_TEST_NO_SOCKETS"):
        socket.socket.connect = refuse  # type: ignore[method-assign]
        socket.socket.connect_ex = refuse  # type: ignore[method-assign]
    waits: list[float] = []
    time.sleep = waits.append  # type: ignore[assignment]
    for line in sys.stdin:
        reply: dict[str, Any] = {}
        waits.clear()
        try:
            reply["value"] = answer(json.loads(line))
        except MlsgError as error:
            reply |= {"error": type(error).__name__, "text": str(error)}
        except Exception as error:
            reply |= {"error": f"a bug in mlsg: {type(error).__name__}", "text": traceback.format_exc()}
        reply |= {"printed": sys.stdout.getvalue(), "waits": list(waits)}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
