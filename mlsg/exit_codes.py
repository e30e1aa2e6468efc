"""How a command ends: exit codes, the one error line, and the log of a bug in mlsg."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable

from mlsg.console import note
from mlsg.errors import MlsgError

INTERRUPTED = 130
BUG = 1
WRONG_USAGE = 2


def exit_code_of(command: Callable[[], object]) -> int:  # noqa: PLR0911 - one return an exit code
    """Run `command` and return its exit code (docs/design.md, part 3); every failure is one line on stderr."""
    from typer.exceptions import Abort, Exit, TyperException

    try:
        code = command()
        if code == INTERRUPTED:
            raise KeyboardInterrupt
    except MlsgError as error:
        note(f"error: {error}")
        return error.exit_code
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        note(f"error: {' '.join(error.format_message().split()).rstrip('.')}; see mlsg --help")
        return WRONG_USAGE
    except (Abort, KeyboardInterrupt):
        note("error: interrupted, the workspace is intact; run the same command again to go on")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the reader left; nothing may be flushed at exit
        return 0
    except Exception as error:
        with tempfile.NamedTemporaryFile("w", prefix="mlsg-", suffix=".log", delete=False, encoding="utf-8") as log:
            log.write(f"{' '.join(sys.argv)}\n\n{traceback.format_exc()}")
        note(f"error: a bug in mlsg ({type(error).__name__}), log in {log.name}; report it with that file")
        return BUG
    return code if isinstance(code, int) else 0
