"""The list of saved sessions, made of the first bytes of each file.

Owns what stands for a file that cannot be read. Refuses to read bodies, and to let one
bad file hide another.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.archive import document, files
from orchestrator.archive.errors import damaged
from orchestrator.domain.errors import JidoError, SavedSessionNotFound
from orchestrator.domain.ids import short
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Usage
from orchestrator.wire.bodies import SavedSession


def read_listing(directory: Path) -> list[SavedSession]:
    """Return all saved sessions, newest first; a file that cannot be read carries its code."""
    entries = [_entry(directory, session_id) for session_id in files.ids(directory)]
    found = [entry for entry in entries if entry is not None]
    return sorted(found, key=lambda entry: (entry.updated_at, entry.id), reverse=True)


def _entry(directory: Path, session_id: str) -> SavedSession | None:
    try:
        data, state = files.read_head(directory, session_id)
        return _readable(session_id, data, state)
    except SavedSessionNotFound:
        # Deleted since the directory was read.
        return None
    except JidoError as error:
        return _unreadable(directory, session_id, error)
    except OSError as error:
        return _unreadable(directory, session_id, damaged(f"it cannot be read ({error.strerror})"))


def _readable(session_id: str, data: bytes, state: os.stat_result) -> SavedSession:
    header = document.read_header(document.parse_head(data, state.st_size))
    if header.id != session_id:
        raise damaged("it carries the identifier of another session")
    fields = header.model_dump(exclude={"kept"})
    return SavedSession(**fields, size_bytes=state.st_size)


def _unreadable(directory: Path, session_id: str, error: JidoError) -> SavedSession:
    moment = datetime.fromtimestamp(files.modified_at(directory, session_id), UTC)
    return SavedSession(
        id=session_id,
        name=f"unreadable {short(session_id)}",
        project_path="",
        config=SessionConfig(),
        created_at=moment,
        updated_at=moment,
        messages=0,
        turns=0,
        usage=Usage(),
        size_bytes=files.size(directory, session_id),
        error=error.code,
        detail=error.detail,
    )
