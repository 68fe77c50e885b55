"""The content hash that guards a write: SHA-256 in hexadecimal.

Taken from the interpreter's own module where there is one, because `hashlib` loads a
cryptography library that would double the size of this process.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

ABSENT = "absent"
"""Stands for a file that does not exist, where a hash is expected."""


def content_hash(data: bytes) -> str:
    """Return the hash of a file's whole content."""
    return sha256(data).hexdigest()
