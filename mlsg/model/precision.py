"""Under what forward passes run."""

from __future__ import annotations

import torch


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """`precision` is float32 or bf16, whatever the surroundings say.

    Trained weights are cast once within it, however often they are used.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
