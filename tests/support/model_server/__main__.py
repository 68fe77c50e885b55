"""`python -m tests.support.model_server --port N --script FILE [--record FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.support.model_server.script import Script
from tests.support.model_server.server import ModelServer, Recorded


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A scripted model server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path)
    parser.add_argument("--record", type=Path, help="append each request as a line of JSON")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    script = Script.load(arguments.script) if arguments.script else None

    def record(request: Recorded) -> None:
        if arguments.record is not None:
            line = json.dumps({"path": request.path, "at": request.at, "body": request.body})
            with arguments.record.open("a") as file:
                file.write(f"{line}\n")

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with ModelServer.running(script, host=arguments.host, port=arguments.port) as server:
        server.on_request = record
        sys.stdout.write(f"ready {server.base_url}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
