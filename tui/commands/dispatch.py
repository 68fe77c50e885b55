"""Running a command line.

Owns the one place where a command's failure becomes a line in the transcript.
"""

from __future__ import annotations

from orchestrator.domain.errors import JidoError
from tui.client import Refused, Unreachable
from tui.commands.catalogue import BY_NAME
from tui.commands.desk import Desk
from tui.commands.parse import UsageError, nearest, parse
from tui.state import fields
from tui.state.outcomes import Focused, Told

_ALIASES = {"exit": "quit", "q": "quit", "?": "help"}


async def dispatch(desk: Desk, text: str) -> None:
    """Run one command line; whatever goes wrong is told to the person, never raised."""
    try:
        line = parse(text)
        command = BY_NAME.get(_ALIASES.get(line.name, line.name))
        if command is None:
            hint = nearest(line.name, BY_NAME)
            meant = f" Did you mean /{hint}?" if hint else " /help lists all."
            raise UsageError(f"There is no command /{line.name}.{meant}")
        await command.run(desk, line)
    except UsageError as fault:
        desk.say(str(fault), "error")
    except JidoError as fault:
        desk.say(fault.detail, "error")
    except Unreachable as fault:
        desk.say(str(fault), "error")
    except Refused as refused:
        _explain(desk, refused)


def _explain(desk: Desk, refused: Refused) -> None:
    """Tell a refusal in the server's words, and go where it points."""
    if refused.code == "project_already_open":
        other = fields.raw(refused.body, "session_id")
        if other in desk.workspace.sessions and not fields.raw(refused.body, "overlaps"):
            desk.tell(Focused(other))
            desk.tell(Told(other, "info", refused.detail))
            return
    desk.say(refused.detail, "error")
