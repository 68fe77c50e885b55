"""What `jido trust` is about: a project's settings file and the files of its own tools.

Owns reading them: relative to directory handles, never through a link, never from anything but
a regular file, bounded in size and number. Refuses to run or parse a tool.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from orchestrator.cli.failures import UsageError
from orchestrator.domain.errors import InvalidSettings
from orchestrator.domain.project_tools import (
    MAX_TOOL_BYTES,
    MAX_TOOLS,
    SUFFIX,
    InvalidProjectTool,
    file_of,
    name_fault,
)

MAX_SETTINGS_BYTES: Final = 65_536
"""Bytes of a project's settings file; a longer one is refused."""

MAX_NAMES: Final = 1000
"""Entries of the directory of tools; more are refused, because some might stay unseen."""

_SETTINGS: Final = ".jido_code/settings.json"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a named pipe would wait for its other end.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class ProjectContent:
    """The bytes that a person is asked to trust."""

    settings: bytes | None
    """None when there is no settings file."""
    tools: dict[str, bytes]
    """Texts of tools by name."""


def read_content(project: str) -> ProjectContent:
    """Return what there is to trust; raises UsageError, InvalidSettings, InvalidProjectTool."""
    settings, tools = None, {}
    with contextlib.ExitStack() as stack:
        try:
            home = stack.enter_context(_opened(project, os.O_RDONLY | os.O_DIRECTORY))
            own = stack.enter_context(_opened(".jido_code", _DIRECTORY, home))
            settings = _settings(project, own)
            tools = _tools(stack.enter_context(_opened("tools", _DIRECTORY, own)))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UsageError(
                f"{project}/.jido_code cannot be read: {_cause(error)}. Mend or remove it."
            ) from error
    if settings is None and not tools:
        raise UsageError(
            f"{project} has no .jido_code/settings.json and no .jido_code/tools/*.lua; "
            "nothing to trust."
        )
    return ProjectContent(settings, tools)


def _settings(project: str, own: int) -> bytes | None:
    path = f"{project}/{_SETTINGS}"
    try:
        content = _content("settings.json", own, MAX_SETTINGS_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {_cause(error)}.") from error
    if content is None:
        raise InvalidSettings(f"{path} exceeds 64 KiB; it cannot be a settings file.")
    try:
        fine = not content.strip() or isinstance(json.loads(content), dict)
    except (ValueError, RecursionError) as error:
        raise InvalidSettings(f"{path} is not valid JSON: {error}. Mend it first.") from error
    if not fine:
        raise InvalidSettings(f"{path} must hold one JSON object.")
    return content


def _tools(directory: int) -> dict[str, bytes]:
    with os.scandir(directory) as entries:
        names = [entry.name for entry in islice(entries, MAX_NAMES + 1)]
    found = sorted(name for name in names if name.endswith(SUFFIX))
    if len(names) > MAX_NAMES or len(found) > MAX_TOOLS:
        raise InvalidProjectTool(
            f"The project has more than {MAX_TOOLS} tools in .jido_code/tools. Remove some."
        )
    return {name[: -len(SUFFIX)]: _tool(name[: -len(SUFFIX)], directory) for name in found}


def _tool(name: str, directory: int) -> bytes:
    fault = name_fault(name)
    if fault is None:
        try:
            content = _content(f"{name}{SUFFIX}", directory, MAX_TOOL_BYTES)
        except OSError as error:
            fault = f"it cannot be read: {_cause(error)}"
        else:
            if content is not None and _is_text(content):
                return content
            size = f"it exceeds {MAX_TOOL_BYTES // 1024} KiB"
            fault = size if content is None else "it is not text in UTF-8"
    raise InvalidProjectTool(f"{file_of(name[:80])} is refused: {fault}. Mend or remove it.")


def _content(name: str, directory: int, maximum: int) -> bytes | None:
    """Return a regular file's bytes, None when there are more than `maximum`."""
    with _opened(name, _FILE, directory) as descriptor:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read(maximum + 1)
    return content if len(content) <= maximum else None


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cause(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "it is a symbolic link, or no directory where one should be"
    return error.strerror or "it cannot be opened"


@contextlib.contextmanager
def _opened(name: str, flags: int, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, flags, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
