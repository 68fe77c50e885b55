"""From every version of a saved session's form to the next one.

Owns one step for each version that was ever written. Refuses to skip: a file goes
through all of them in order, and so does a portable document, whose version is that
of the file it was made from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

Values = dict[str, Any]
Step = Callable[[Values, Values], None]


def migrate(version: int, target: int, header: Values, body: Values) -> None:
    """Bring both parts, in place, from `version` to `target`, one version at a time."""
    for number in range(version, target):
        MIGRATIONS[number](header, body)


def _with_approvals(header: Values, body: Values) -> None:
    """Version 1 kept no approvals."""
    body["approvals"] = []
    body["allowed_tools"] = []


MIGRATIONS: Final[dict[int, Step]] = {1: _with_approvals}
"""Version to the step that changes (header, body) in place to the following version. A step
never changes again: what it reads was written by a release."""
