"""Edits whose whitespace is not quite the file's, made exact before the library sees them.

Owns the translation alone: what may be edited and how it is written stays the library's. An
edit that the sandbox cannot place is passed on as it came, and refused there.
"""

from __future__ import annotations

from typing import Any

from pydantic_ai.exceptions import ModelRetry

from orchestrator.agent.live import LiveWorkspace


async def exact_edit(workspace: LiveWorkspace, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of `edit_file` that match exactly; raises ModelRetry when ambiguous."""
    path, wanted = arguments.get("path"), _wanted(arguments)
    if workspace.knows is None or not isinstance(path, str) or not wanted:
        return arguments
    preview = await workspace.knows.preview_edits(path, wanted)
    if isinstance(preview, str):
        raise ModelRetry(f"{preview}. No changes were written.")
    if preview is None:
        return arguments
    try:
        present, changed = preview.present.decode(), preview.changed.decode()
    except UnicodeDecodeError:
        return arguments
    return {"path": path, "old_text": present, "new_text": changed}


def _wanted(arguments: dict[str, Any]) -> list[tuple[str, str]]:
    """The edits asked for; empty when the library has to say what is wrong with them."""
    several, old, new = (arguments.get(name) for name in ("replacements", "old_text", "new_text"))
    if several is None:
        return [(old, new)] if isinstance(old, str) and isinstance(new, str) else []
    if old is not None or new is not None:
        return []
    return [(edit.old_text, edit.new_text) for edit in several]
