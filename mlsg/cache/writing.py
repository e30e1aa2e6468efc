"""Writing into a workspace: what the system refuses is one line with a remedy, what many processes change is locked."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock

from mlsg.errors import MlsgError, SettingError

_ELSEWHERE = "name another folder with --workspace"
_BY_CAUSE: Mapping[str, tuple[int, ...]] = {
    f"free some space there, or {_ELSEWHERE}": (errno.ENOSPC, errno.EDQUOT),
    f"give yourself the right to write there, or {_ELSEWHERE}": (errno.EROFS, errno.EACCES, errno.EPERM),
    "raise the limit on the size of files (ulimit -f)": (errno.EFBIG,),
    "raise the limit on open files (ulimit -n)": (errno.EMFILE, errno.ENFILE),
    f"look after that disk, or {_ELSEWHERE}": (errno.EIO, errno.ESTALE),
    f"{_ELSEWHERE}, on a disk with file locks": (errno.ENOLCK, errno.EOPNOTSUPP),
    _ELSEWHERE: (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
}
_REMEDIES = {number: remedy for remedy, numbers in _BY_CAUSE.items() for number in numbers}
_WHEREVER = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
_WRAPPED = re.compile(r"\(os error (\d+)\)")  # by what is written in Rust: safetensors, tokenizers


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn an error by which the workspace at `root` cannot be read or written into a SettingError.

    A full disk and too few file handles always count; other errors only when they name a path of the workspace, or
    none.
    """
    try:
        yield
    except MlsgError:
        raise
    except Exception as error:
        wrapped = _WRAPPED.search(str(error))
        number = getattr(error, "errno", None) or (int(wrapped[1]) if wrapped else 0)
        path = getattr(error, "filename", None)
        elsewhere = path and not Path(path).absolute().is_relative_to(root.absolute())
        unmade = number == errno.ENOENT and not root.is_dir()
        if not (number in _REMEDIES or unmade) or (elsewhere and number not in _WHEREVER):
            raise
        problem = f"the workspace {root} cannot be written: {os.strerror(number)}{f' ({path})' if path else ''}"
        raise SettingError(problem, _REMEDIES.get(number, _ELSEWHERE)) from error


@contextlib.contextmanager
def updating(root: Path, name: str) -> Iterator[Path]:
    """The path of a file that many processes change, held under a lock; what killed ones left beside it is removed."""
    with writing(root):
        (root / "locks").mkdir(parents=True, exist_ok=True)
        with FileLock(root / "locks" / f"{name}.lock"):
            for temporary in root.glob(f".{name}.*"):
                temporary.unlink(missing_ok=True)
            yield root / name
