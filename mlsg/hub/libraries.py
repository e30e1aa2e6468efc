"""The hub's own libraries, imported when first needed and kept quiet.

`huggingface_hub` reads HF_* variables when it is imported: its constants count, and not the environment.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_TRUE = {"1", "ON", "YES", "TRUE"}


def endpoint() -> str:
    """The address of the hub (HF_ENDPOINT), without a final slash."""
    return str(_constants().ENDPOINT)


def offline_because() -> str:
    """Why the network must not be used, or "": `HF_HUB_OFFLINE is set`."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").upper() in _TRUE:
            return f"{name} is set"
    return "HF_HUB_OFFLINE is set" if _constants().HF_HUB_OFFLINE else ""


def hub_cache() -> Path:
    """Where the hub's files are kept as they were downloaded."""
    return Path(_constants().HF_HUB_CACHE)


def datasets_cache() -> Path:
    """Where `datasets` keeps its tables; found without importing it."""
    if "datasets" in sys.modules:
        return Path(datasets().config.HF_DATASETS_CACHE)
    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(_constants().HF_HOME) / "datasets")


def _constants() -> Any:
    from huggingface_hub import constants

    return constants


@cache
def hub() -> ModuleType:
    """`huggingface_hub`, without progress bars, and without warnings unless HF_HUB_VERBOSITY asks for them.

    What it waits for by itself at a rate limit, some minutes, it says.
    """
    import huggingface_hub.utils

    utils: Any = huggingface_hub.utils
    if "HF_HUB_DISABLE_PROGRESS_BARS" not in os.environ:
        utils.disable_progress_bars()
    if "HF_HUB_VERBOSITY" not in os.environ:
        utils.logging.set_verbosity_warning()
        for handler in logging.getLogger("huggingface_hub").handlers:
            handler.addFilter(_is_error_or_wait)
    return huggingface_hub


def _is_error_or_wait(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or record.getMessage().startswith("Rate limited")


@cache
def datasets() -> Any:
    """`datasets`, quiet in the same way (DATASETS_VERBOSITY), and without its own retries or its download counter.

    Its retries wait silently and would multiply with ours; its counter asks another host than the hub.
    """
    hub()
    import datasets

    if "HF_DATASETS_DISABLE_PROGRESS_BARS" not in os.environ:
        datasets.disable_progress_bars()
    if "DATASETS_VERBOSITY" not in os.environ:
        datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it logs as an error, it also raises
    if "HF_UPDATE_DOWNLOAD_COUNTS" not in os.environ:
        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    for name in dir(datasets.config):
        if name.startswith("STREAMING_") and name.endswith(("_MAX_RETRIES", "_RETRY_INTERVAL")):
            setattr(datasets.config, name, 1 if name.endswith("_MAX_RETRIES") else 0)
    return datasets
