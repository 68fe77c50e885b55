"""Reaching a sandbox whose channel may be away for a moment.

A supervisor that starts again, or a sandbox that is being replaced, leaves nobody behind the
socket for a short while. Owns how long that is waited for. Refuses to wait for a peer that
answers but speaks nonsense: more time does not mend it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.errors import ChannelClosed, ChannelProtocolError

PATIENCE_S: Final = 3.0
"""Seconds for which a channel that nobody serves is tried again; 0 means one attempt."""

FIRST_PAUSE_S: Final = 0.02
"""Seconds before the second attempt; each further pause is twice as long."""

LONGEST_PAUSE_S: Final = 0.3
"""Seconds between attempts at most."""


async def connect(path: str, timeout_s: float = 10.0, patience_s: float = PATIENCE_S) -> Channel:
    """Connect to a unix socket, trying again while nobody serves it; raises `ChannelClosed`.

    `timeout_s` bounds one attempt, `patience_s` the time after which no other begins.
    """
    clock = asyncio.get_running_loop().time
    deadline, pause_s = clock() + patience_s, FIRST_PAUSE_S
    while True:
        try:
            return await Channel.connect(path, timeout_s)
        except ChannelProtocolError:
            raise
        except ChannelClosed:
            if clock() + pause_s > deadline:
                raise
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
