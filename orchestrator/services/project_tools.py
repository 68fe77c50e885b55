"""A project's own tools: which of them count, and what they are.

    the sandbox            sends the bytes of `.jido_code/tools/*.lua` as they are now
    here                   hashes them and compares with what `jido trust` wrote down
    the sandbox            runs exactly the bytes that were hashed here, never the file again

Owns the comparison and the word for each tool that does not count. Refuses to run anything of a
tool whose content the user has not accepted, its declaration included.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.domain.events import NewEvent
from orchestrator.domain.project_tools import (
    InvalidProjectTool,
    ProjectTool,
    ProjectToolNotFound,
    ProjectToolNotTrusted,
    check_arguments,
    file_of,
    name_fault,
    parse_declaration,
)
from orchestrator.sandboxes.errors import NotDirectory, UnknownOperation
from orchestrator.sandboxes.project_tools import ToolFile, ToolSources
from orchestrator.sandboxes.tools import LuaResult, SandboxTools
from orchestrator.services.story import notice
from orchestrator.services.trust import Trusted, digest_of, trusted_content
from orchestrator.wire.bodies import LuaError, LuaOutcome, ToolInfo

NOT_TRUSTED = "it is not trusted"
"""Why a tool does not count whose content nobody accepted."""

CHANGED = "it changed since it was trusted"
"""Why a tool does not count that was accepted with another content."""


class Refusal(NamedTuple):
    """A file that is no tool for now."""

    name: str
    """Printable, bounded."""
    reason: str
    """One clause."""
    trusted: bool
    """Whether the user accepted the content; then the content itself is at fault."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The tools of a project at one moment."""

    project_path: str
    texts: Mapping[str, bytes] = field(default_factory=dict)
    """Accepted contents by name."""
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def sources(self) -> ToolSources:
        """What a script of this project may use, and what it is told of the rest."""
        told = {r.name: self.word(r) for r in self.refusals if name_fault(r.name) is None}
        return ToolSources(self.texts, told)

    def word(self, refusal: Refusal) -> str:
        """Return the sentence for a tool that does not count."""
        return (
            f"{file_of(refusal.name)} was not loaded: {refusal.reason}. "
            + ("Mend it, then look at it" if refusal.trusted else "Look at it")
            + f" and accept it with `jido trust {shlex.quote(self.project_path)}`."
        )


@dataclass(frozen=True, slots=True)
class Declared:
    """Tools that may be offered, with the texts behind them."""

    loaded: Loaded
    tools: list[ProjectTool] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    """Those of `loaded`, and tools whose accepted content declares nothing usable."""

    def notice(self) -> NewEvent | None:
        """Return the one event that names all files that are no tools; None for none."""
        if not self.refusals:
            return None
        named = ", ".join(f"{file_of(r.name)} ({r.reason})" for r in self.refusals)
        # A project that merely brings tools along is no cause for alarm.
        is_new = all(refusal.reason == NOT_TRUSTED for refusal in self.refusals)
        return notice(
            "info" if is_new else "warning",
            "project_tools_not_loaded",
            f"Tools of the project that were not loaded: {named}. Look at them and accept them "
            f"with `jido trust {shlex.quote(self.loaded.project_path)}`; that counts from the next "
            "turn.",
        )


async def load(tools: SandboxTools, home: Path, project_path: str) -> Loaded:
    """Return the project's tools as they are now; raises InvalidSettings, ToolError.

    `project_path` is the session's own, never what a sandbox says.
    """
    trusted = await asyncio.to_thread(trusted_content, home, project_path)
    try:
        files = await tools.tool_files()
    except UnknownOperation:
        # A sandbox that an older version started knows of no tools.
        return Loaded(project_path)
    except NotDirectory:
        refusal = Refusal("*", "the directory is a link or no directory", False)
        return Loaded(project_path, refusals=[refusal])
    loaded = Loaded(project_path, texts := {}, refusals := [])
    for file in files:
        reason = _reason(file, trusted)
        if reason is None and file.content is not None:
            texts[file.name] = file.content
        else:
            refusals.append(Refusal(_printable(file.name), reason or "it cannot be read", False))
    return loaded


def _reason(file: ToolFile, trusted: Trusted) -> str | None:
    """Return why a file is no tool, None when the user accepted exactly its bytes."""
    fault = name_fault(file.name) if file.name != "…" else None
    if fault is not None or file.content is None:
        return fault or file.fault
    known = trusted.tools.get(file.name)
    if known is None:
        return NOT_TRUSTED
    return None if known == digest_of(file.content) else CHANGED


async def declare(tools: SandboxTools, loaded: Loaded) -> Declared:
    """Return what the accepted tools declare; raises ToolError."""
    declared = Declared(loaded, refusals=list(loaded.refusals))
    if not loaded.texts:
        return declared
    for name, described in (await tools.describe_tools(loaded.texts)).items():
        try:
            if described.fault is not None:
                raise InvalidProjectTool(_printable(described.fault))
            tool = parse_declaration(name, described.declaration)
            declared.tools.append(replace(tool, digest=digest_of(loaded.texts[name])))
        except InvalidProjectTool as error:
            reason = error.detail.rpartition(" is no usable tool: ")[2].rstrip(".")
            declared.refusals.append(Refusal(name, reason, True))
    return declared


async def call(
    tools: SandboxTools,
    loaded: Loaded,
    name: str,
    arguments: dict[str, Any],
    timeout_s: float,
    *,
    reset: bool = False,
) -> LuaOutcome:
    """Call a tool whose arguments nobody checked yet; its own failure is an outcome.

    Raises ProjectToolNotFound, ProjectToolNotTrusted, InvalidProjectTool, InvalidArgument.
    """
    _require(loaded, name)
    only = Loaded(loaded.project_path, {name: loaded.texts[name]})
    declared = await declare(tools, only)
    if not declared.tools:
        raise InvalidProjectTool(only.word(declared.refusals[0]), tool=name)
    check_arguments(declared.tools[0], arguments)
    result = await tools.call_tool(name, arguments, loaded.sources, timeout_s, reset=reset)
    return outcome_of(result)


def _require(loaded: Loaded, name: str) -> None:
    if name in loaded.texts:
        return
    refusal = next((r for r in loaded.refusals if r.name == name), None)
    if refusal is not None:
        raise ProjectToolNotTrusted(loaded.word(refusal), tool=refusal.name)
    known = ", ".join(loaded.texts) or "none"
    raise ProjectToolNotFound(
        f"The project has no tool “{_printable(name)}”. Trusted tools: {known}. "
        "They lie in .jido_code/tools."
    )


def listing(declared: Declared) -> list[ToolInfo]:
    """Return every file in the directory of tools as clients see it, by name."""
    rows = [
        ToolInfo(name=t.name, trusted=True, description=t.description, parameters=t.parameters)
        for t in declared.tools
    ]
    rows += [
        ToolInfo(name=r.name, trusted=r.trusted, reason=declared.loaded.word(r))
        for r in declared.refusals
    ]
    return sorted(rows, key=lambda row: row.name)


def outcome_of(result: LuaResult) -> LuaOutcome:
    """Return a script's end as clients and the agent see it."""
    error = None
    if not result.ok:
        error = LuaError(code=result.error_code or "lua_error", message=result.error_message or "")
    return LuaOutcome(
        ok=result.ok,
        value=result.value,
        output=result.output,
        error=error,
        elapsed_ms=result.elapsed_ms,
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:200])
