"""The processes of a bubblewrap sandbox: started, recorded, found again, ended.

Owns how one is started as the project's owner with its group's limits in force before
its first instruction, and the record by which a later process finds it. A process is
named by its number and start time together, so a number used again is never hit.
Everything here blocks; the runtime calls it in threads.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from orchestrator.domain.ids import is_id
from orchestrator.sandboxes.bubblewrap_command import Handles, account_files, command
from orchestrator.sandboxes.bubblewrap_support import LIBRARIES, Support
from orchestrator.sandboxes.cgroups import Group
from orchestrator.sandboxes.cgroups import make as make_group
from orchestrator.sandboxes.interior import sandbox_name
from orchestrator.sandboxes.project_layout import Layout
from orchestrator.sandboxes.runtime import SandboxSpec
from orchestrator.sandboxes.runtime_errors import SandboxStartFailed
from orchestrator.sandboxes.seccomp import filter_program

SETUP_TIMEOUT_S: Final = 10.0
"""Seconds in which bwrap must have made the sandbox's first process."""

END_TIMEOUT_S: Final = 10.0
"""Seconds in which a killed sandbox must be gone."""

MAX_ERROR_BYTES: Final = 16_384
"""Bytes of bwrap's standard error that are kept; the file cannot grow beyond."""

MAX_RECORD_BYTES: Final = 65_536
"""Bytes of a record; a larger file is none of ours."""


_MFD_EXEC: Final = 0x10
"""Asks for a memory file that may be executed, whatever the machine's default is."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, provably the same one later."""

    pid: int
    started: int
    """Kernel's start time in clock ticks since boot."""

    @classmethod
    def of(cls, pid: int) -> Process:
        """Describe a living process; raises ProcessLookupError."""
        return cls(pid, _start_time(pid))

    def open(self) -> int | None:
        """Return a pidfd of it, which the caller closes; None when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return None
        with suppress(ProcessLookupError):
            if _start_time(self.pid) == self.started:
                return handle
        os.close(handle)
        return None

    @property
    def alive(self) -> bool:
        """Whether it exists and has not ended."""
        handle = self.open()
        if handle is None:
            return False
        ended, _, _ = select.select([handle], [], [], 0)
        os.close(handle)
        return not ended


@dataclass(frozen=True, slots=True)
class Record:
    """What a later process must know of a sandbox."""

    session_id: str
    instance_id: str
    boot_id: str
    socket_path: str
    outer: Process
    """bwrap itself, which ends with the sandbox's exit code."""
    first: Process
    """The sandbox's first process; with it everything inside ends."""
    group: Group


def boot_id() -> str:
    """Return what tells this run of the machine from any other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError as error:
        raise ProcessLookupError(f"no process {pid}") from error
    return int(text.rpartition(")")[2].split()[19])


def write_record(directory: Path, record: Record) -> None:
    """Record a sandbox, durable against a crash of this process."""
    path = directory / f"{record.session_id}.json"
    temporary = directory / f".{record.session_id}.new"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(record), file)
    os.rename(temporary, path)


def read_record(directory: Path, session_id: str) -> Record | None:
    """Return a session's record; None when there is none that can be read."""
    try:
        with (directory / f"{session_id}.json").open("rb") as file:
            data: dict[str, Any] = json.loads(file.read(MAX_RECORD_BYTES))
        group = Group(tuple(data.pop("group")["directories"]))
        outer, first = Process(**data.pop("outer")), Process(**data.pop("first"))
        return Record(**data, outer=outer, first=first, group=group)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def recorded(directory: Path) -> list[str]:
    """Return the sessions that have a record, of whichever installation."""
    try:
        names = [path.stem for path in directory.glob("*.json")]
    except OSError:
        return []
    return [name for name in names if is_id(name)]


def move(directory: Path, record: Record, socket_path: str) -> Record:
    """Give a listening socket another name; connecting goes by the name's file."""
    os.rename(record.socket_path, socket_path)
    moved = replace(record, socket_path=socket_path)
    write_record(directory, moved)
    return moved


def forget_record(directory: Path, session_id: str) -> None:
    """Remove a session's record; none is success."""
    with suppress(FileNotFoundError):
        os.unlink(directory / f"{session_id}.json")


class Spawned:
    """A sandbox of this process, whose exit code it will learn."""

    def __init__(self, record: Record, outer: subprocess.Popen[bytes], errors: int) -> None:
        """Take over the started bwrap and its standard error, a bounded memory file."""
        self.record = record
        self._outer = outer
        self._errors = errors

    def exit_code(self) -> int | None:
        """Return the exit code, waiting for an end that has been noticed."""
        try:
            return self._outer.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None

    def complaint(self) -> str:
        """Return what bwrap or the tool server said on standard error, in one line."""
        return read_errors(self._errors)

    def close(self) -> None:
        """Release what is held of it."""
        with suppress(OSError):
            os.close(self._errors)
        if self._outer.poll() is None:
            # It outlives this process on purpose; without a code Python would complain of it.
            self._outer.returncode = 0


def error_file() -> int:
    """Return a memory file that cannot grow, for a standard error that nobody drains."""
    handle = os.memfd_create("stderr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(handle, MAX_ERROR_BYTES)
    seals = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(handle, fcntl.F_ADD_SEALS, seals)
    return handle


def read_errors(handle: int) -> str:
    """Return the text at the start of such a file, in one line."""
    text = os.pread(handle, MAX_ERROR_BYTES, 0).rstrip(b"\0").decode(errors="replace")
    return " ".join("".join(each for each in text if each.isprintable() or each == "\n").split())


def spawn(
    spec: SandboxSpec, layout: Layout, support: Support, bwrap: str, listener: int, path: str
) -> Spawned:
    """Start a sandbox on a listening socket; its limits hold before its first instruction.

    Raises SandboxStartFailed; then nothing of it is left.
    """
    with ExitStack() as stack:
        information, information_end = _pipe(stack)
        block_end, block = _pipe(stack)
        accounts = tuple(
            (name, _memory(stack, text.encode())) for name, text in account_files(spec).items()
        )
        seccomp = _memory(stack, filter_program())
        handles = Handles(listener, seccomp, information_end, block_end, accounts)
        errors = error_file()
        group = make_group(sandbox_name(spec.instance_id, spec.session_id), spec.limits)
        arguments = command(spec, layout, support, handles, group)
        try:
            outer = _launch(spec, arguments, handles, support, bwrap, errors)
        except BaseException:  # raised again once cleaned up
            group.remove()
            raise
        try:
            os.set_blocking(information, False)
            first = Process.of(_first_process(information, outer, errors))
            group.add(first.pid)
            os.write(block, b"1")
            record = Record(
                spec.session_id,
                spec.instance_id,
                boot_id(),
                path,
                Process.of(outer.pid),
                first,
                group,
            )
        except BaseException as error:  # translated or raised again
            # The whole process group: a first process that waits would go on at our end of file.
            with suppress(ProcessLookupError):
                os.killpg(outer.pid, signal.SIGKILL)
            outer.wait()
            group.remove()
            complaint = read_errors(errors)
            os.close(errors)
            if isinstance(error, (OSError, SandboxStartFailed)):
                raise SandboxStartFailed(
                    f"bubblewrap did not start the sandbox: {complaint or error}"
                ) from error
            raise
        return Spawned(record, outer, errors)


def _pipe(stack: ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    stack.callback(os.close, reader)
    stack.callback(os.close, writer)
    return reader, writer


def _memory(stack: ExitStack, content: bytes) -> int:
    handle = os.memfd_create("jido", os.MFD_CLOEXEC)
    stack.callback(os.close, handle)
    os.write(handle, content)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def launch_identity(uid: int, gid: int) -> dict[str, Any]:
    """Return Popen's arguments that make a child run as the owner; none when it already is."""
    if os.geteuid() != 0 or uid == 0:
        return {}
    return {"user": uid, "group": gid, "extra_groups": []}


def _launch(
    spec: SandboxSpec,
    arguments: list[str],
    handles: Handles,
    support: Support,
    bwrap: str,
    errors: int,
) -> subprocess.Popen[bytes]:
    program = _executable(bwrap, spec.owner_uid)
    passed = [
        program,
        handles.listener,
        handles.seccomp,
        handles.information,
        handles.block,
        *(handle for _, handle in handles.accounts),
    ]
    try:
        return subprocess.Popen(
            ["bwrap", *arguments],
            executable=f"/proc/self/fd/{program}",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd="/",
            env={"LD_LIBRARY_PATH": f"{support.programs}/{LIBRARIES}"},
            pass_fds=passed,
            start_new_session=True,
            **launch_identity(spec.owner_uid, spec.owner_gid),
        )
    except OSError as error:
        os.close(errors)
        raise SandboxStartFailed(f"bubblewrap cannot be executed: {error}.") from error
    finally:
        os.close(program)


def _executable(path: str, uid: int) -> int:
    """Open bwrap for execution through its descriptor, also where its owner may not look.

    What `uid` may write is executed from a sealed copy: a sandbox reaches the file behind
    its first process through /proc, past every mount. Otherwise it stays the file itself,
    because profiles of AppArmor go by its name.
    """
    program = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    status = os.fstat(program)
    if status.st_uid != uid and not status.st_mode & 0o022:
        return program
    with os.fdopen(program, "rb") as file:
        content = file.read()
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        copy = os.memfd_create("bwrap", flags | _MFD_EXEC)
    except OSError:
        # Older kernels do not know the flag, and execute without it.
        copy = os.memfd_create("bwrap", flags)
    os.write(copy, content)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    # Executing what is open for writing is refused, so it is opened anew.
    with os.fdopen(copy, "rb", closefd=True):
        return os.open(f"/proc/self/fd/{copy}", os.O_RDONLY | os.O_CLOEXEC)


def _first_process(information: int, outer: subprocess.Popen[bytes], errors: int) -> int:
    """Return the number of the sandbox's first process once bwrap has told it."""
    ended = os.pidfd_open(outer.pid)
    text = b""
    try:
        while True:
            ready, _, _ = select.select([information, ended], [], [], SETUP_TIMEOUT_S)
            if information in ready:
                text += os.read(information, 4096)
                with suppress(ValueError):
                    return int(json.loads(text)["child-pid"])
            elif ended in ready or not ready:
                raise SandboxStartFailed(read_errors(errors) or "it ended without a word")
    finally:
        os.close(ended)


def end(record: Record) -> bool:
    """Kill a sandbox and wait until it is gone; False when it still lives."""
    gone = all([_kill(record.first), _kill(record.outer)])
    record.group.remove()
    return gone


def _kill(process: Process) -> bool:
    handle = process.open()
    if handle is None:
        return True
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        ended, _, _ = select.select([handle], [], [], END_TIMEOUT_S)
        return bool(ended)
    finally:
        os.close(handle)
