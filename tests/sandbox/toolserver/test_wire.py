"""What a peer may send: malformed, oversized, interleaved, half-sent; and what survives it."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.toolserver import RawClient, ToolServer, running

BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def assert_alive(server: ToolServer) -> None:
    with server.connect() as client:
        assert client.call("ping").result == {}


def test_the_greeting(client: RawClient, server: ToolServer) -> None:
    hello = client.hello["hello"]
    assert hello == {"version": 1, "root": str(server.root), "pid": server.process.pid}


@pytest.mark.parametrize(
    "data",
    [
        b"not json\n",
        b"[]\n",
        b"{}\n",
        b'{"id":1}\n',
        b'{"id":"1","op":"ping"}\n',
        b'{"id":-1,"op":"ping"}\n',
        b'{"id":true,"op":"ping"}\n',
        b'{"id":1,"op":1}\n',
        b'{"id":1,"op":"ping","args":[]}\n',
        b'{"id":1,"op":"ping","bytes":-1}\n',
        b'{"id":1,"op":"ping","bytes":1.5}\n',
        b'{"id":1,"op":"ping","bytes":99999999}\n',
        b'{"id":1,"op":"\xff"}\n',
        b"[" * 60_000 + b"\n",
        b"x" * 70_000,
    ],
)
def test_a_malformed_frame_ends_the_connection_only(
    client: RawClient, server: ToolServer, data: bytes
) -> None:
    client.send_raw(data)
    reply = client.receive()
    assert (reply.header["id"], reply.code) == (None, "malformed")
    with pytest.raises((EOFError, ConnectionResetError)):
        client.receive()
    assert_alive(server)


@pytest.mark.parametrize("data", [b'{"id":1,', b'{"id":1,"op":"write","bytes":10}\nhalf'])
def test_half_a_frame_changes_nothing(client: RawClient, server: ToolServer, data: bytes) -> None:
    client.send_raw(data)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.receive().code == "malformed"
    assert_alive(server)


def test_a_frame_may_come_in_pieces(client: RawClient, server: ToolServer) -> None:
    frame = b'{"id":7,"op":"write","args":{"path":"f"},"bytes":5}\nhello'
    for at in range(len(frame)):
        client.send_raw(frame[at : at + 1])
    assert client.receive().header["id"] == 7
    assert (server.root / "f").read_text() == "hello"


def test_frames_may_come_at_once(client: RawClient) -> None:
    client.send_raw(b"".join(b'{"id":%d,"op":"ping"}\n' % number for number in range(50)))
    assert [client.receive().header["id"] for _ in range(50)] == list(range(50))


def test_an_identifier_in_use_is_malformed(client: RawClient) -> None:
    frame = b'{"id":1,"op":"run","args":{"shell":"sleep 5"}}\n'
    client.send_raw(frame + frame)
    assert client.receive().code == "malformed"


def test_requests_in_flight_are_limited(client: RawClient) -> None:
    for _ in range(64):
        client.send("run", shell="sleep 60")
    assert client.call("ping").code == "limit_requests"


def test_connections_are_limited() -> None:
    with running() as server:
        clients = [server.connect() for _ in range(40)]
        refused = [one.hello["error"]["code"] for one in clients if "hello" not in one.hello]
        # The one connection that waited for the start may still be ending.
        assert len(refused) in (8, 9)
        assert set(refused) == {"limit_connections"}
        assert clients[0].call("ping").result == {}
        for client in clients:
            client.close()


def test_a_large_payload_goes_both_ways(client: RawClient, server: ToolServer) -> None:
    data = os.urandom(1 << 20) * 16
    assert client.call("write", data, path="big", hash=False).result["size"] == len(data)
    assert client.call("read", path="big", raw=True).payload == data


def test_a_peer_that_does_not_read_delays_nobody_else(server: ToolServer) -> None:
    (server.root / "big").write_bytes(bytes(8 << 20))
    with server.connect() as lazy, server.connect() as busy:
        for _ in range(5):
            lazy.send("read", path="big", raw=True)
        for _ in range(20):
            assert busy.call("ping").result == {}


def test_many_peers_at_once(server: ToolServer) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with server.connect() as client:
                for turn in range(20):
                    data = f"{number}-{turn}".encode()
                    client.call("write", data, path=f"f{number}").result  # noqa: B018
                    assert client.call("read", path=f"f{number}", raw=True).payload == data
        except BaseException as error:  # noqa: BLE001 - a thread hands its failure to the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
_OPERATIONS = st.sampled_from(
    ["read", "write", "stat", "list", "exists", "make_dir", "rename", "edit", "glob", "find"]
)
_NAMES = st.sampled_from(["path", "target", "offset", "raw", "pattern", "query", "limit", "x"])


@BOUNDED
@given(data=st.binary(max_size=300))
def test_any_bytes_are_survived(module_server: ToolServer, data: bytes) -> None:
    with module_server.connect() as client:
        client.send_raw(data + b"\n")
        client.socket.shutdown(socket.SHUT_WR)
        try:
            while True:
                assert client.receive().code in ("malformed", "unknown_operation")
        except (EOFError, ConnectionResetError):
            pass
    assert_alive(module_server)


@BOUNDED
@given(operation=_OPERATIONS, arguments=st.dictionaries(_NAMES, _JSON, max_size=4))
def test_any_arguments_are_answered(
    module_server: ToolServer, operation: str, arguments: dict[str, object]
) -> None:
    with module_server.connect() as client:
        header = json.dumps({"id": 1, "op": operation, "args": arguments})
        client.send_raw(header.encode() + b"\n")
        reply = client.receive()
        assert reply.header["id"] == 1
        assert reply.header["ok"] or reply.code != "internal"


_COMPONENTS = st.sampled_from(
    ["..", ".", "a", "b", "in", "out", "loop", "up", "deep", "f", "", "x"]
)


@pytest.fixture(scope="module")
def maze(module_server: ToolServer) -> Path:
    """A project full of links, inside and outside, and a secret that must stay unread."""
    base, root = module_server.root.parent, module_server.root
    (base / "secret").mkdir()
    (base / "secret" / "f").write_text("secret")
    (root / "a/b").mkdir(parents=True)
    for directory in (root, root / "a", root / "a/b"):
        (directory / "f").write_text("inside")
        (directory / "in").symlink_to(root / "a")
        (directory / "out").symlink_to(base / "secret")
        (directory / "loop").symlink_to("loop")
        (directory / "up").symlink_to("..")
        (directory / "deep").symlink_to("../a/b/../b")
    return root


@BOUNDED
@given(parts=st.lists(_COMPONENTS, min_size=1, max_size=8), absolute=st.booleans())
def test_reading_agrees_with_the_real_path(
    module_server: ToolServer, maze: Path, parts: list[str], absolute: bool
) -> None:
    path = "/".join([str(maze), *parts]) if absolute else "/".join(parts).lstrip("/")
    expected = os.path.realpath(os.path.join(maze, path))
    with module_server.connect() as client:
        reply = client.call("read", path=path, raw=True)
    if reply.header["ok"]:
        assert reply.payload == b"inside"
        assert expected.startswith(f"{maze}/")
    else:
        assert reply.code in (
            "outside_project", "not_found", "not_directory", "is_directory", "link_loop",
            "invalid_argument",
        )  # fmt: skip


@pytest.mark.usefixtures("maze")
def test_directories_swapped_meanwhile_lead_nowhere_else(
    module_server: ToolServer, maze: Path
) -> None:
    (maze / "safe").mkdir(exist_ok=True)
    (maze / "safe" / "f").write_text("inside")
    (maze / "link").symlink_to(maze.parent / "secret")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(maze / "safe", maze / "parked")
            os.rename(maze / "link", maze / "safe")
            os.rename(maze / "safe", maze / "link")
            os.rename(maze / "parked", maze / "safe")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        with module_server.connect() as client:
            for _ in range(1500):
                reply = client.call("read", path="safe/f", raw=True)
                seen.add(reply.payload if reply.header["ok"] else reply.code.encode())
    finally:
        stop.set()
        thread.join()
    assert b"inside" in seen
    assert seen <= {b"inside", b"outside_project", b"not_found", b"not_directory"}
