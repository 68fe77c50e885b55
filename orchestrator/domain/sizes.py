"""Numbers of bytes as people write them."""

from __future__ import annotations


def size_words(count: int) -> str:
    """Return a number of bytes in the largest unit of which there is one."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"
