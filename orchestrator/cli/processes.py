"""`jido serve`, `jido work` and `jido supervise`: one process each."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    listen_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> int:
    """Serve the api on JIDO_HOST and JIDO_PORT."""
    from orchestrator.cli.serving import serve_api
    from orchestrator.settings import load_settings

    serve_api(load_settings(), listen_fd)
    return 0


def work() -> int:
    """Run turns from the queue."""
    from orchestrator.logs import configure_logging
    from orchestrator.settings import load_settings
    from orchestrator.worker.announcement import announce_early

    settings = load_settings()
    configure_logging(settings.log_level)
    announce_early(settings)
    # Loaded only now: the agent's libraries take a second, in which sessions can start already.
    from orchestrator.worker.pool import run_worker

    run_worker(settings)
    return 0


def supervise() -> int:
    """Keep sandboxes as they are wanted; the only process that talks to the engine."""
    import asyncio

    from orchestrator.settings import load_settings
    from orchestrator.supervisor.main import run_supervisor

    asyncio.run(run_supervisor(load_settings()))
    return 0
