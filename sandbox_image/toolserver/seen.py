"""What the agent knows of files: the content it last read or wrote, by hash.

Guards it against overwriting what somebody else wrote meanwhile. Bounded; what is forgotten
has to be read again. It is a safeguard of work, not of the sandbox.
"""

from __future__ import annotations

import threading

from sandbox_image.toolserver.digests import content_hash

SEEN = "seen"
"""Stands for the content that was read last, where a hash is expected."""

MAX_SEEN = 4096
"""Files remembered; the one seen longest ago is forgotten first."""


class SeenFiles:
    """Content hashes by real path."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._hashes: dict[str, str] = {}
        self._lock = threading.Lock()

    def note(self, path: str, data: bytes) -> None:
        """Remember the whole content of a file."""
        self.note_hash(path, content_hash(data))

    def note_hash(self, path: str, present: str) -> None:
        """Remember the hash of a file's whole content."""
        with self._lock:
            self._hashes.pop(path, None)
            self._hashes[path] = present
            if len(self._hashes) > MAX_SEEN:
                del self._hashes[next(iter(self._hashes))]

    def hash_of(self, path: str) -> str | None:
        """The hash last remembered; None for a file never seen."""
        with self._lock:
            return self._hashes.get(path)
