"""Preparing a project for its sandbox, as the project's owner.

Owns who does it: this process when it is the owner, a thread that has taken the
owner's identity when this process is root. Refuses to act as anybody else: then
the runtime prepares through a container. What is prepared is `project_layout`'s.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import platform
import threading
from collections.abc import Callable
from concurrent.futures import Future

from orchestrator.domain.errors import NoSpace, ProjectPathPermissionDenied
from orchestrator.sandboxes.project_layout import (
    Layout,
    UnsafeLayout,
    prepare,
    survey,
)
from orchestrator.sandboxes.runtime import SandboxSpec
from orchestrator.sandboxes.runtime_errors import ProjectNotPreparable, UnsafeProjectLayout

_SETGROUPS = {"x86_64": 116, "aarch64": 159}
"""System call numbers: the C library's wrapper would change every thread, the call only one."""


async def survey_as_owner(spec: SandboxSpec) -> Layout:
    """Look at the project with the owner's eyes.

    Raises UnsafeProjectLayout, ProjectPathPermissionDenied.
    """
    return await _translated(spec, lambda: survey(spec.project_path))


async def prepare_as_owner(spec: SandboxSpec) -> Layout:
    """Make what is missing and return the layout after it.

    Raises UnsafeProjectLayout, ProjectPathPermissionDenied, NoSpace, and
    ProjectNotPreparable where this process cannot write the project.
    """
    return await _translated(spec, lambda: prepare(spec.project_path))


def can_act_as(uid: int) -> bool:
    """Say whether this process may make files that belong to `uid`."""
    return os.geteuid() in (0, uid)


async def _translated(spec: SandboxSpec, work: Callable[[], Layout]) -> Layout:
    try:
        return await _finished(_in_thread(spec.owner_uid, spec.owner_gid, work))
    except UnsafeLayout as error:
        raise UnsafeProjectLayout(f"In {spec.project_path}: {error}.") from error
    except OSError as error:
        raise _translate(spec, error) from error


async def _finished(future: Future[Layout]) -> Layout:
    """Await a thread's work, also when cancelled: nothing is made after the caller has gone."""
    result = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(result)
    except asyncio.CancelledError:
        await asyncio.wait({result})
        # Read, so that its failure is not reported as one nobody looked at.
        result.exception()
        raise


def _translate(
    spec: SandboxSpec, error: OSError
) -> ProjectNotPreparable | NoSpace | ProjectPathPermissionDenied:
    detail = f"{spec.project_path}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(f"{detail}. Free some space, then try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ProjectNotPreparable(f"{detail}. The project's owner must be able to write it.")
    return ProjectPathPermissionDenied(f"{detail}. The project cannot be read.")


def _in_thread(uid: int, gid: int, work: Callable[[], Layout]) -> Future[Layout]:
    """Run `work` in a thread of its own; one that changed identity is never used again."""
    future: Future[Layout] = Future()
    future.set_running_or_notify_cancel()

    def body() -> None:
        try:
            if os.geteuid() == 0 and uid != 0:
                _become(uid, gid)
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  (the thread's failure is the caller's)
            future.set_exception(error)

    threading.Thread(target=body, name="project-owner", daemon=True).start()
    return future


def _become(uid: int, gid: int) -> None:
    """Give this thread the owner's identity for files; the kernel drops its file privileges."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = _SETGROUPS.get(platform.machine())
    if number is None or libc.syscall(number, 0, None) != 0:
        raise PermissionError(errno.EPERM, "supplementary groups cannot be dropped")
    libc.setfsgid(gid)
    libc.setfsuid(uid)
    # Both calls report only the value before; a call that must fail shows the one in force.
    if libc.setfsuid(-1) != uid or libc.setfsgid(-1) != gid:
        raise PermissionError(errno.EPERM, f"cannot act as user {uid}")
