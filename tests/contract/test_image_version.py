"""One version binds the tool server, its image and this program.

An image carries a copy of the tool server, so code and image can come from different times.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from orchestrator.sandboxes.channel import WIRE_VERSION
from sandbox_image.toolserver import server

IMAGE = Path(server.__file__).parents[1]

VERSION = 1
SOURCES = "bda2096b7c9671ad"
"""The version and the digest of what it names. When the digest differs: raise the version in
`toolserver/server.py`, `sandboxes/channel.py` and the Dockerfile's label, so that older images are
refused, then put both here. Only what changes nothing inside, such as a comment, may keep it."""


def sources_digest() -> str:
    """Digest of all that is copied into the image, and of how it is made."""
    files = [IMAGE / "Dockerfile", *IMAGE.rglob("*.py"), *IMAGE.rglob("*.lua")]
    lines = [f"{path.relative_to(IMAGE)} {sha256(path.read_bytes()).hexdigest()}" for path in files]
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def test_image_and_program_name_one_version() -> None:
    label = re.search(r"^LABEL jido\.image\.wire=(\d+)$", (IMAGE / "Dockerfile").read_text(), re.M)
    assert label is not None
    assert int(label[1]) == WIRE_VERSION == server.WIRE_VERSION == VERSION


def test_a_changed_tool_server_has_a_version_of_its_own() -> None:
    assert sources_digest() == SOURCES, f"the image's sources changed: {sources_digest()}"
