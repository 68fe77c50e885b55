"""What a probe is and how its answers are judged.

Owns the rule that a denial counts only together with its control: the same program,
where exactly the tested property is absent, must have been allowed. Refuses to judge
by exit codes: a denial is the kernel's own word for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import dedent

import pytest

from tests.support.requirements import require

RUNTIMES = ("docker", "bubblewrap")
ROOT = ("docker-root", "bubblewrap-root")
"""The same runtimes on a project of root."""


@dataclass(frozen=True)
class Probe:
    """One attempt at something forbidden."""

    name: str
    program: str
    """Python that ends when it was allowed and raises OSError when not; words of `inside`."""
    refused: str
    """Kinds of denial that count, such as "EPERM ENOSYS"."""
    control: str
    """Where the same program must be allowed: a key of `controls.CONTROLS`."""
    bubblewrap: str = ""
    """Kinds of denial under bubblewrap where they differ; empty means the same."""
    absent: str = ""
    """Answers of the control that mean the kernel itself lacks what is probed."""

    def kinds(self, place: str) -> list[str]:
        """Return the denials that count at a place."""
        own = self.bubblewrap if place.startswith("bubblewrap") else ""
        return (own or self.refused).split()


@dataclass(frozen=True)
class Answer:
    """What a program reported."""

    outcome: str
    """allowed, missing, broken, timeout, the name of an error, or that of a signal."""
    detail: str


def cases(probes: Iterable[Probe], places: tuple[str, ...] = RUNTIMES) -> pytest.MarkDecorator:
    """Parametrise a test over every probe at every place."""
    parameters = []
    for place in places:
        mark = pytest.mark.docker if place.startswith("docker") else pytest.mark.bubblewrap
        for probe in probes:
            parameters.append(pytest.param(place, probe, id=f"{place}-{probe.name}", marks=mark))
    return pytest.mark.parametrize(("place", "probe"), parameters)


def program(text: str) -> str:
    """Return a program of several lines without the indentation of its table."""
    return dedent(text).strip()


def assert_denial(probe: Probe, place: str, seen: Answer) -> None:
    """Require that a sandbox refused, in one of the kinds that count."""
    require(seen.outcome != "missing", f"{probe.name}: {seen.detail}")
    assert seen.outcome in probe.kinds(place), f"{probe.name} at {place}: {seen}"


def assert_control(probe: Probe, control: Answer) -> None:
    """Require that the same program is allowed where the property is absent."""
    if control.outcome in probe.absent.split():
        pytest.skip(f"The denial was seen; this kernel has nothing to control it: {control}")
    require(control.outcome != "missing", f"{probe.name}: {control.detail}")
    assert control.outcome == "allowed", f"{probe.name} in {probe.control}: {control}"
