"""What exists on the machine beside a project and must be out of a sandbox's reach.

Owns a secret file, another project, a process, sockets and shared memory, all of
them open to the very user the sandbox runs as, so that only isolation refuses them.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from orchestrator.sandboxes.bubblewrap_process import launch_identity

_IPC_CREATE = 0o1000
_IPC_REMOVE = 0


class Surroundings:
    """Everything that a module's probes try to reach."""

    def __init__(self, base: Path, owner: tuple[int, int]) -> None:
        self.word = f"secret-{secrets.token_hex(8)}"
        self._stack = ExitStack()
        self._owner = owner
        self.base = base
        secret = base / "secret"
        secret.write_text(self.word)
        other = base / "other-project"
        other.mkdir()
        (other / "file").write_text(self.word)
        home = base / "home-of-jido"
        home.mkdir()
        (home / "token").write_text(self.word)
        for path in (secret, other, other / "file", home, home / "token"):
            os.chown(path, *owner)
        self.values: dict[str, Any] = {
            "SECRET": str(secret),
            "TOKEN": str(home / "token"),
            "WORD": self.word,
            "OTHER": str(other),
            "OWNER": owner[0],
            "GROUP": owner[1],
            "HOST_PID": self._process(),
            "ABSTRACT": self._abstract_socket(),
            "BESIDE": self._socket_beside(),
            "ADDRESS": _own_address(),
            "PORT": self._port(),
            "SEGMENT": self._shared_memory(),
            "DISK": _root_disk(),
        }

    def close(self) -> None:
        """End what was started."""
        self._stack.close()

    def _process(self) -> int:
        started = subprocess.Popen(
            ["sleep", "600"], env={"SECRET": self.word}, **launch_identity(*self._owner)
        )
        self._stack.callback(started.wait)
        self._stack.callback(started.kill)
        return started.pid

    def _listen(self, address: Any, family: int = socket.AF_UNIX) -> socket.socket:
        listener = self._stack.enter_context(socket.socket(family))
        listener.bind(address)
        listener.listen(64)
        return listener

    def _abstract_socket(self) -> str:
        name = f"jido-probe-{secrets.token_hex(6)}"
        self._listen(f"\0{name}")
        return name

    def _socket_beside(self) -> str:
        path = str(self.base / "beside.sock")
        self._listen(path)
        os.chown(path, *self._owner)
        return path

    def _port(self) -> int:
        return int(self._listen(("0.0.0.0", 0), socket.AF_INET).getsockname()[1])

    def _shared_memory(self) -> int:
        """Make a System V segment that everybody may read, and return its identifier."""
        libc = ctypes.CDLL(None, use_errno=True)
        segment = libc.shmget(0, 4096, _IPC_CREATE | 0o666)
        self._stack.callback(libc.shmctl, segment, _IPC_REMOVE, None)
        return int(segment)


def _own_address() -> str:
    """Return an address of this machine that other machines would use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))
        except OSError:
            return "172.17.0.1"
        return str(asked.getsockname()[0])


def _root_disk() -> str:
    """Return the device of a disk of this machine."""
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        name = line.split()[3]
        if not name.startswith(("loop", "zram", "ram")):
            return f"/dev/{name}"
    return "/dev/no-disk"
