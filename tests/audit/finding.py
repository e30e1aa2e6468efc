"""One comparison of an audit: what was compared, the largest difference, and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A comparison; it holds where the difference is at most `allowed`."""

    what: str
    difference: float
    allowed: float

    @property
    def holds(self) -> bool:
        """False for a difference that is not a number, too."""
        return self.difference <= self.allowed

    def __str__(self) -> str:
        return f"{'ok' if self.holds else 'DIFFERS':8} {self.what}: {self.difference:.2e} (at most {self.allowed:.0e})"
