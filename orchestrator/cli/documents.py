"""Portable documents of sessions in files.

Owns that a document is written at once or not at all, and read within its limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from orchestrator.cli.failures import UsageError
from orchestrator.domain.limits import MAX_IMPORT_BYTES


def write_document(path: Path, document: Any) -> None:
    """Replace `path`, readable for its owner alone; raises UsageError."""
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file, ensure_ascii=False)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def read_document(file: str) -> Any:
    """Return the JSON in `file`, `-` being standard input; raises UsageError."""
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(MAX_IMPORT_BYTES + 1)
        else:
            with open(file, "rb") as opened:
                raw = opened.read(MAX_IMPORT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_IMPORT_BYTES:
        raise UsageError(f"{file} has more than {MAX_IMPORT_BYTES:,} bytes.")
    try:
        return json.loads(raw)
    except ValueError as error:
        raise UsageError(f"{file} is no JSON: {error}.") from error
