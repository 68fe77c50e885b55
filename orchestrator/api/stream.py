"""Server-sent events: pages of events as bytes, to one reader at its own pace.

Owns framing, keep-alive, the limit on open streams and their end when the server
stops. Refuses to buffer beyond one page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, Final

from starlette.responses import StreamingResponse

from orchestrator.api import metrics
from orchestrator.domain.errors import TooManyRequests
from orchestrator.services.following import Page
from orchestrator.wire import sse

MAX_STREAMS: Final = 256
"""Event streams one server process serves at once."""

OPENING: Final = b": stream\n\n"
"""Sent at once, so that a reader and every proxy see the answer begin."""

HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}

DESCRIPTION: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Server-sent events",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


class Streams:
    """The open event streams of one server process."""

    def __init__(self, maximum: int = MAX_STREAMS) -> None:
        """Begin with none; serve `maximum` at once."""
        self._maximum = maximum
        self._open = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream, so that the server can end; readers resume elsewhere."""
        self._stopping.set()

    def respond(self, pages: AsyncGenerator[Page, None]) -> StreamingResponse:
        """Return the answer that sends `pages`; raises TooManyRequests beyond the maximum."""
        if self._open >= self._maximum:
            raise TooManyRequests(
                f"This server serves at most {self._maximum} event streams at once. Close some.",
                retry_after_s=5,
            )
        return StreamingResponse(
            self._frames(pages), media_type="text/event-stream", headers=HEADERS
        )

    async def _frames(self, pages: AsyncGenerator[Page, None]) -> AsyncIterator[bytes]:
        self._open += 1
        metrics.stream_opened()
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            yield OPENING
            async with aclosing(pages):
                while (page := await _next(pages, stopping)) is not None:
                    yield _encode(page)
        finally:
            stopping.cancel()
            self._open -= 1
            metrics.stream_closed()


async def _next(pages: AsyncGenerator[Page, None], stopping: asyncio.Future[Any]) -> Page | None:
    """Return the next page, or None at the end of the story or of the server."""
    page = asyncio.ensure_future(anext(pages, None))
    try:
        await asyncio.wait({page, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return page.result() if page.done() else None
    finally:
        if not page.done():
            page.cancel()
            with suppress(asyncio.CancelledError):
                await page


def _encode(page: Page) -> bytes:
    if not page:
        return sse.KEEPALIVE
    return b"".join(
        sse.encode(cursor, event.type, event.model_dump_json()) for cursor, event in page
    )
