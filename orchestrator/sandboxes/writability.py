"""Whether a sandbox can write its project at all, asked of the sandbox itself.

Owns the question: only inside do owner, mode and mount count together. Refuses to write a
probe: the kernel is asked, and nothing in the project changes.
"""

from __future__ import annotations

from typing import Final

from orchestrator.sandboxes import results
from orchestrator.sandboxes.channel import Channel

TIMEOUT_S: Final = 5.0
"""Seconds the answer may take."""


async def is_writable(channel: Channel) -> bool:
    """Say whether files can be made in the project's directory.

    Raises ToolError, ToolTimeout after `TIMEOUT_S`, ChannelClosed.
    """
    arguments = {"command": ["test", "-w", "."], "timeout_s": TIMEOUT_S, "keep_bytes": 0}
    reply = await channel.request("run", arguments, timeout_s=TIMEOUT_S + 1.0)
    return results.integer(reply.result, "exit_code") == 0
