"""The server dies and comes back: nothing acknowledged is lost, nothing is written twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from orchestrator.domain.errors import StoreUnavailable
from orchestrator.store import keys
from orchestrator.store.facade import Store
from tests.integration.store.builders import a_notice, a_turn, claimed, ready
from tests.support.valkey import Server


@asynccontextmanager
async def _reply_eater(server: Server, swallow: bytes) -> AsyncIterator[str]:
    """Pass bytes on, but hang up instead of giving the first reply to what contains `swallow`."""
    eaten = 0

    async def copy(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bytes]
    ) -> None:
        while data := await reader.read(65536):
            asked.append(data)
            writer.write(data)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal eaten
        from_server, to_server = await asyncio.open_unix_connection(str(server.socket))
        asked: list[bytes] = []
        forward = asyncio.create_task(copy(reader, to_server, asked))
        while data := await from_server.read(65536):
            if not eaten and swallow in b"".join(asked) and not data.startswith(b"-NOSCRIPT"):
                eaten += 1
                break
            writer.write(data)
        writer.close()
        to_server.close()
        with suppress(OSError):
            await forward

    path = server.directory / "eater.sock"
    proxy = await asyncio.start_unix_server(connected, str(path))
    try:
        yield f"unix://{path}"
        assert eaten == 1
    finally:
        proxy.close()
        await proxy.wait_closed()


async def test_every_acknowledged_event_survives_several_kills(server_to_kill: Server) -> None:
    acknowledged: list[list[int]] = [[] for _ in range(4)]
    stop = asyncio.Event()

    async with Store.open(server_to_kill.url) as store:
        session = await claimed(store)

        async def write(number: int) -> None:
            n = 0
            while not stop.is_set():
                await store.events.append(session.id, [a_notice(f"{number}.{n}")])
                acknowledged[number].append(n)
                n += 1

        writers = [asyncio.create_task(write(n)) for n in range(len(acknowledged))]
        for _ in range(3):
            await asyncio.sleep(0.2)
            server_to_kill.kill()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server_to_kill.start)
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*writers)
        events = await store.events.read(session.id, 0, 100_000)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    told = [e.data["text"] for e in events[1:]]
    assert len(told) == len(set(told)), "an event was written twice"
    assert set(told) == {f"{w}.{n}" for w, numbers in enumerate(acknowledged) for n in numbers}
    assert all(len(numbers) > 10 for numbers in acknowledged)


async def test_a_repeated_commit_is_recognised(server_to_kill: Server) -> None:
    """A proxy that swallows replies makes the client ask again."""
    async with Store.open(server_to_kill.url) as direct:
        session = await claimed(direct)
        async with _reply_eater(server_to_kill, swallow=b"notice") as url, Store.open(url) as store:
            assert await store.events.append(session.id, [a_notice("only once")]) == 2
        assert len(await direct.events.read(session.id, 0, 10)) == 2


async def test_records_turns_and_watches_survive(server_to_kill: Server) -> None:
    async with Store.open(server_to_kill.url) as store:
        session = await ready(store)
        turn, _ = await store.turns.accept(a_turn(session.id), "key")
        waiting, _ = await store.turns.accept(a_turn(session.id), None)
        assert await store.turns.begin(session.id, turn.id, "w")
        with store.signals.watch(keys.session_topic(session.id)) as watch:
            assert await watch.wait(5)
            while await watch.wait(0.05):
                pass
            server_to_kill.kill()
            await asyncio.to_thread(server_to_kill.start)
            assert await watch.wait(10), "woken by the reconnection"
            while await watch.wait(0.3):
                pass
            await store.events.append(session.id, [a_notice()])
            assert await watch.wait(5), "subscribed again"
        assert (await store.turns.accept(a_turn(session.id), "key"))[0].id == turn.id
        assert await store.leases.renew(turn.id, "w")
        assert await store.turns.pending(session.id) == [waiting]
        assert (await store.sessions.list())[0].turns == 2


async def test_a_server_that_is_away_is_said_in_time(server_to_kill: Server) -> None:
    async with Store.open(server_to_kill.url) as store:
        await store.ping()
        os.kill(server_to_kill.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.ping(0.2)
        server_to_kill.kill()
        with pytest.raises(StoreUnavailable):
            await store.ping(0.2)
        assert time.monotonic() - started < 3


async def test_requests_wait_for_a_server_that_comes_back(server_to_kill: Server) -> None:
    async def echo(payload: dict[str, object]) -> dict[str, object]:
        return payload

    async with Store.open(server_to_kill.url) as store:
        serving = asyncio.create_task(store.requests.serve({"echo": echo}))
        assert await store.requests.call("echo", {"n": 1}, 10) == {"n": 1}
        server_to_kill.kill()
        await asyncio.to_thread(server_to_kill.start)
        assert await store.requests.call("echo", {"n": 2}, 10) == {"n": 2}
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
