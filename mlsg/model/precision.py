"""The precision that forward passes run in."""

from __future__ import annotations

import torch

PRECISIONS = ("float32", "bf16")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """`precision` is float32 or bf16, whatever autocast is on outside.

    Trained weights are cast once within it, however often they are used.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
