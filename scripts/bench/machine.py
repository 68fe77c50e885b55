"""The machine a run was made on, and whether it had time for it.

Owns the words. A figure taken while others use the processors says little about the product:
its ratio to the counterpart then says more than its value.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

BUSY = 0.75
"""Processes that want a processor, per processor, from which a machine counts as busy."""


@dataclass(frozen=True)
class Machine:
    """What is known at the start of a run."""

    processors: int
    load: float
    """Processes that wanted a processor, averaged over the last minute."""
    kernel: str
    python: str

    @classmethod
    def now(cls) -> Machine:
        """Look at this machine."""
        return cls(
            processors=len(os.sched_getaffinity(0)),
            load=os.getloadavg()[0],
            kernel=platform.release(),
            python=platform.python_version(),
        )

    def line(self) -> str:
        """Say it in one line."""
        text = f"{self.processors} processors, load {self.load:.1f}, Linux {self.kernel}"
        if self.load <= BUSY * self.processors:
            return text
        return f"{text}: others are using this machine, so trust the ratios, not the values"

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)
