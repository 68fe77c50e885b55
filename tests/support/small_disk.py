"""A file system of a few hundred kilobytes, mounted for the length of a block.

What a full disk does can only be seen on one that is full.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.requirements import require


class SmallDisk:
    """A mounted file system that can be filled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Write until nothing more fits."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (65_536, 4096, 1):
                while True:
                    try:
                        if not file.write(b"\0" * size):
                            break
                    except OSError:
                        break

    def empty(self) -> None:
        """Take away what `fill` wrote."""
        (self.path / "filler").unlink()

    def remount(self, option: str) -> None:
        """Change to `ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path, kilobytes: int = 512) -> Iterator[SmallDisk]:
    """Mount a small file system at `path`; needs root and the right to mount."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0700", "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        problem = str(error)
    require(not problem, f"A small file system cannot be mounted here: {problem}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
