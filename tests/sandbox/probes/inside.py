"""Runs probes where they are to be refused or allowed, and reports what the kernel said.

Owns the words a probe's program may use and one process per probe. It is sent as a
file into sandboxes, containers and to the host itself, so it is stdlib only and
imports nothing of ours. A program that ends was allowed; an OSError names the
denial; anything else is reported as what it is and is neither. Every answer
carries the token of the run, so output of a probe cannot pass for one.

Arguments: the file of probes, the token.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

TIMEOUT_S = 60.0
"""Seconds after which a probe's process group is killed and its answer is `timeout`."""

LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS: dict[str, int] = {}
"""System call numbers of this machine, from the file of probes."""

SEEN: list[str] = []
"""What a program found to be allowed, for whoever reads the answer."""


class Missing(Exception):
    """A program that the probe needs is not installed here, so the probe proves nothing."""


def syscall(name: str, *arguments: Any, reached: str = "") -> int:
    """Make a system call; errors named in `reached` come from its arguments, so it was let in."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    ctypes.set_errno(0)
    LIBC.syscall.restype = ctypes.c_long
    result = int(LIBC.syscall(ctypes.c_long(NUMBERS[name]), *words))
    if result >= 0 or errno.errorcode[ctypes.get_errno()] in reached.split():
        return result
    return refuse(ctypes.get_errno(), name)


def refuse(number: int, what: str = "") -> int:
    """Say that something was denied."""
    raise OSError(number, f"{os.strerror(number)}: {what}")


def unless(allowed: object, number: int = errno.EPERM) -> None:
    """Say that something was denied unless it was seen to be allowed."""
    if not allowed:
        refuse(number)
    SEEN.append(repr(allowed)[:200])


def plant(path: str) -> None:
    """Make a file where there is none, and the directories above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


def write(path: str, content: bytes = b"", flags: int = 0) -> None:
    """Open an existing file for writing and write; b'' only opens it."""
    handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK | flags)
    try:
        if content:
            os.write(handle, content)
    finally:
        os.close(handle)


def read(path: str) -> bytes:
    """Read the start of a file, which must have content: a masked one is empty."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        content = os.read(handle, 65_536)
    finally:
        os.close(handle)
    unless(content, errno.ENODATA)
    return content


def shell(script: str) -> str:
    """Run a shell line; its complaint names the denial."""
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}
    )
    if done.returncode == 127:
        raise Missing(done.stderr)
    if done.returncode == 0:
        return done.stdout
    if "must be superuser" in done.stderr:
        refuse(errno.EPERM, done.stderr)
    for number in (errno.EROFS, errno.EBUSY, errno.EPERM, errno.EACCES, errno.EXDEV, errno.ENOENT):
        if os.strerror(number).lower() in done.stderr.lower():
            refuse(number, done.stderr)
    raise RuntimeError(done.stderr or f"exit code {done.returncode}")


def status(field: str) -> str:
    """Return a field of this process's status."""
    for line in read("/proc/self/status").decode().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    raise RuntimeError(f"no field {field}")


def machine_code(code: bytes) -> int:
    """Run instructions of this processor and return what they leave as a result."""
    area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


def call_of_32_bits(number: int, argument: int = 0, reached: str = "") -> None:
    """Make a system call of i386 from a program of x86_64."""
    code = b"\x53\xb8" + struct.pack("<I", number) + b"\xbb" + struct.pack("<I", argument)
    result = machine_code(code + b"\x31\xc9\x31\xd2\x31\xf6\x31\xff\xcd\x80\x5b\xc3")
    if result < 0 and errno.errorcode[-result] not in reached.split():
        refuse(-result)


def words(values: dict[str, Any]) -> dict[str, Any]:
    """Return the names a program may use."""
    own = {name: value for name, value in globals().items() if not name.startswith("_")}
    return own | values


def answer(program: str, values: dict[str, Any]) -> dict[str, str]:
    """Run a program in this process and say how it ended."""
    try:
        exec(program, words(values))
    except OSError as error:
        return {"outcome": errno.errorcode.get(error.errno or 0, repr(error)), "detail": str(error)}
    except Missing as error:
        return {"outcome": "missing", "detail": str(error)}
    except MemoryError as error:
        return {"outcome": "ENOMEM", "detail": repr(error)}
    except BaseException as error:  # noqa: BLE001  (whatever a probe raises is its answer)
        return {"outcome": "broken", "detail": repr(error)}
    return {"outcome": "allowed", "detail": " ".join(SEEN)}


def _child(program: str, values: dict[str, Any], pipe: int) -> None:
    os.setsid()
    silent = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(silent, standard)
    own = os.getpid()
    if values["APART"] and LIBC.unshare(0x00020000):
        raise RuntimeError("a control needs a view of mounts of its own")
    said = answer(program, values | {"PIPE": pipe})
    if os.getpid() == own:
        said["detail"] = said["detail"][:500]
        os.write(pipe, json.dumps(said).encode())
    os._exit(0)


def run(program: str, values: dict[str, Any]) -> dict[str, str]:
    """Run a program in a process of its own and return its answer."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    pid = os.fork()
    if pid == 0:
        _child(program, values, writer)
    os.close(writer)
    deadline = time.monotonic() + TIMEOUT_S
    waited, code = 0, 0
    while waited == 0 and time.monotonic() < deadline:
        waited, code = os.waitpid(pid, os.WNOHANG)
        if waited == 0:
            select.select([reader], [], [], 0.005)
            time.sleep(0.001)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if waited == 0:
        os.waitpid(pid, 0)
        return {"outcome": "timeout", "detail": ""}
    return _told(reader, code)


def _told(reader: int, code: int) -> dict[str, str]:
    with suppress(BlockingIOError), os.fdopen(reader, "rb") as file:
        text = file.read() or b""
        if text:
            told: dict[str, str] = json.loads(text)
            return told
    if os.WIFSIGNALED(code):
        return {"outcome": signal.Signals(os.WTERMSIG(code)).name, "detail": ""}
    return {"outcome": "broken", "detail": f"ended with {code} without an answer"}


def main(path: str, token: str) -> int:
    """Run the probes of a file and print an answer a line."""
    with open(path) as file:
        asked = json.load(file)
    NUMBERS.update(asked["numbers"])
    for name, program in asked["probes"]:
        said = run(program, asked["values"])
        sys.stdout.write(json.dumps({"token": token, "name": name, **said}) + "\n")
        sys.stdout.flush()
    return 0


_USED_BY_PROGRAMS = (platform, resource, shutil, socket, stat)

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
