"""Reading answers: problems and event streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from orchestrator.wire.sse import Decoder, Frame


def assert_refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem of this kind, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["title"]
    return problem


async def frames(answer: httpx.Response) -> AsyncIterator[Frame]:
    """Yield the events of a stream as they come."""
    decoder = Decoder()
    async for line in answer.aiter_lines():
        for frame in decoder.feed(line):
            yield frame
