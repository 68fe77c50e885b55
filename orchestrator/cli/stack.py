"""`jido up` and `jido down`: the embedded stack."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from orchestrator.settings import Settings

Runtime = Literal["auto", "docker", "bubblewrap"]


def up(
    runtime: Annotated[
        Runtime | None, typer.Option(help="What isolates sandboxes; auto takes an engine's first.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once it is ready; `jido down` stops it.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the api; 0 takes a free one.")
    ] = None,
) -> int:
    """Run api, worker, supervisor and Valkey for this home, until Ctrl+C or `jido down`."""
    from orchestrator.local.errors import StackRunning
    from orchestrator.settings import load_settings

    settings = load_settings(**({"runtime": runtime} if runtime else {}))
    wanted = settings.port if port is None else port
    try:
        if detach:
            return _up_detached(settings, wanted)
        return _up_here(settings, wanted)
    except StackRunning as error:
        print(error.detail, "It is used as it is.", file=sys.stderr)
        print(f"ready {error.extra.get('url')}", flush=True)
        return 0


def down() -> int:
    """Stop the embedded stack of this home, saving its sessions."""
    from orchestrator.local.launch import stop_stack
    from orchestrator.settings import load_settings

    settings = load_settings()
    stopped = stop_stack(settings)
    print("Stopped." if stopped else f"No stack of {settings.home} runs.", file=sys.stderr)
    return 0


def _up_here(settings: Settings, port: int) -> int:
    from orchestrator.local.home import ensure_token
    from orchestrator.local.launch import listen, take_lock
    from orchestrator.local.main import run_stack

    ensure_token(settings)
    take_lock(settings)
    with listen(settings.host, port) as listener:
        run_stack(settings, listener, lambda line: print(line, flush=True), tied=False)
    return 0


def _up_detached(settings: Settings, port: int) -> int:
    from orchestrator.local.launch import start_detached

    url = start_detached(settings, port, {"JIDO_RUNTIME": settings.runtime})
    print(f"ready {url}", flush=True)
    return 0
