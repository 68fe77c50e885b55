"""/model, /provider and /config: how the session on screen thinks.

Owns the reading of values; whether they are legal is the server's to say.
"""

from __future__ import annotations

from orchestrator.domain.config_words import KEYS, config_value
from tui.commands.desk import Desk
from tui.commands.parse import Line, UsageError
from tui.commands.sessions import escape
from tui.state import fields
from tui.state.outcomes import SessionChanged


async def model(desk: Desk, line: Line) -> None:
    """Show the models, or choose one."""
    if line.arguments:
        await _change(desk, {"model": line.arguments[0]})
        return
    entry = desk.session()
    models = await desk.api.models()
    rows = [f"This session uses **{escape(entry.qualified_model)}**.", ""]
    rows += ["| model | |", "|-|-|"]
    for item in fields.objects(models, "items"):
        reason = fields.label(item, "reason")
        ready = "ready" if item.get("available") is True else reason or "not configured"
        rows.append(f"| {escape(fields.label(item, 'id'))} | {escape(ready)} |")
    rows.append("\n`/model provider:model` chooses one.")
    desk.explain("\n".join(rows))


async def provider(desk: Desk, line: Line) -> None:
    """Show or choose the provider alone."""
    if not line.arguments:
        await model(desk, line)
        return
    await _change(desk, {"provider": line.arguments[0]})


async def config(desk: Desk, line: Line) -> None:
    """Show the configuration, or change one value."""
    entry = desk.session()
    if not line.arguments:
        shown = [
            ("model", entry.qualified_model),
            (
                "temperature",
                "provider's default" if entry.temperature is None else entry.temperature,
            ),
            ("max_tokens", entry.max_tokens or "provider's default"),
            ("runtime", entry.runtime or "not started"),
            ("directory", desk.workspace.short_path(entry.project_path)),
            ("session", entry.id),
            ("server", desk.api.http.url),
        ]
        rows = ["| | |", "|-|-|", *(f"| {key} | {escape(str(value))} |" for key, value in shown)]
        desk.explain("\n".join(rows))
        return
    if len(line.arguments) != 2:
        raise UsageError("/config [key value], the keys being " + ", ".join(KEYS))
    key, value = line.arguments
    await _change(desk, {key: config_value(key, value)})


async def _change(desk: Desk, change: dict[str, object]) -> None:
    entry = desk.session()
    record = await desk.api.update(entry.id, {"config": change})
    desk.tell(SessionChanged(record))
    chosen = fields.mapping(record, "config")
    text = f"{fields.label(chosen, 'provider')}:{fields.label(chosen, 'model')}"
    if (temperature := fields.number(chosen, "temperature")) is not None:
        text += f", temperature {temperature:g}"
    if limit := fields.integer(chosen, "max_tokens"):
        text += f", at most {limit} tokens"
    desk.say(f"From the next turn on: {text}.")
