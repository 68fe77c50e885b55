"""What the server will not do, as the client's one failure of its own.

Owns the reading of problems; an absent server is `tui.http.Unreachable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.state import fields
from tui.state.sanitise import one_line

Json = Mapping[str, Any]


class Refused(Exception):
    """The server will not do it; `code` is stable and `detail` says what to do."""

    def __init__(self, status: int, code: str, detail: str, body: Json) -> None:
        """Keep the problem as the server put it."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.body = body


def refusal(status: int, body: object) -> Refused:
    """Return the failure that an answer describes, whatever its body is."""
    problem: Json = body if isinstance(body, dict) else {}
    detail = fields.raw(problem, "detail") or f"The server answered with status {status}."
    code = fields.label(problem, "code", "internal")
    return Refused(status, code, one_line(detail, 1000), problem)
