"""Which image belongs to this program: the one made of exactly these sources.

    digest of `sandbox_image/` as this program has it
    ├── stamped into the Dockerfile's label by `scripts/stamp-image`
    └── compared with the label of the engine's image before anything starts in it

An image carries a copy of the tool server, so code and image can come from different times.
Owns the digest; refuses a version that somebody has to remember to raise.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Final

SOURCES_LABEL: Final = "jido.image.sources"
"""Label of an image: the digest of what it was made of."""

STAMP: Final = re.compile(rf"^LABEL {re.escape(SOURCES_LABEL)}=.*$", re.M)
"""The Dockerfile's line that carries the digest; it is not part of what is digested."""


def image_directory() -> Path:
    """Where the sources of the image lie."""
    return Path(str(files("sandbox_image")))


@cache
def sources_digest() -> str:
    """Return 16 hexadecimal digits that change with anything an image is made of."""
    return digest_of(image_directory())


def digest_of(directory: Path) -> str:
    """Digest all that is copied into the image, and how it is made."""
    recipe = STAMP.sub("", (directory / "Dockerfile").read_text())
    lines = [f"Dockerfile {sha256(recipe.encode()).hexdigest()}"]
    for path in [*directory.rglob("*.py"), *directory.rglob("*.lua")]:
        lines.append(f"{path.relative_to(directory)} {sha256(path.read_bytes()).hexdigest()}")
    return sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]
