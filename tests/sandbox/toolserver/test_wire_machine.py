"""Peers that do anything at any time, several at once: whoever comes next is served all the same.

After every step a fresh connection is answered, and exactly the commands of peers that are still
there are running.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.support.toolserver import RawClient, RawReply, ToolServer

STEPS = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
)
SLEEP = b'{"id":%d,"op":"run","args":{"command":["sleep","600"]}}\n'

_GARBAGE = st.one_of(
    st.binary(min_size=1, max_size=200).map(lambda data: b"\xff" + data + b"\n"),
    st.sampled_from(
        [
            b"x" * 70_000,
            b"[" * 60_000 + b"\n",
            b'{"id":1,"op":"ping","bytes":99999999999}\n',
            b'{"id":1,"op":"ping","bytes":-1}\n',
            b'{"id":1e400,"op":"ping"}\n',
            b'{"id":1,"op":"ping","args":{"a":' + b"9" * 5000 + b"}}\n",
            b'{"id":1,"op":"ping","args":null}\n',
            b'{"hello":{}}\n',
            b"\n",
            b"\0\n",
        ]
    ),
)
_ODD_CANCELS = st.sampled_from(["0", "-1", "null", '"1"', "[]", "{}", "1.5", "true", "9" * 30])


class Peer:
    """One connection, what it has running, and the part of a frame it still owes."""

    def __init__(self, server: ToolServer) -> None:
        self.client = server.connect()
        self.client.socket.settimeout(30)
        self.running: set[int] = set()
        self.owed = b""
        self.last = 1000

    def next_id(self) -> int:
        self.last += 1
        return self.last

    def complete(self) -> None:
        """Send what is owed, and take its answer."""
        if self.owed:
            self.client.send_raw(self.owed)
            self.owed = b""
            assert self.answer(self.last).result is not None

    def answer(self, identity: int) -> RawReply:
        """The answer of one request; others may come before it."""
        while True:
            reply = self.client.receive()
            if reply.header["id"] == identity:
                return reply

    def ends(self) -> None:
        """The server ends the connection, with a word or without."""
        try:
            while True:
                assert self.client.receive().code in ("malformed", "cancelled")
        except (EOFError, ConnectionError):
            pass
        self.leave()

    def leave(self) -> None:
        self.running.clear()
        self.client.close()


class Peers(RuleBasedStateMachine):
    """Rules are what a peer may do."""

    server: ToolServer
    peers = Bundle("peers")

    def __init__(self) -> None:
        super().__init__()
        self.here: list[Peer] = []

    @initialize(target=peers, number=st.integers(1, 3))
    def begin(self, number: int) -> object:
        return multiple(*(self.join() for _ in range(number)))

    @rule(target=peers)
    def join(self) -> Peer:
        peer = Peer(self.server)
        self.here.append(peer)
        return peer

    @rule(peer=peers, data=st.binary(max_size=3000), name=st.sampled_from(["a", "b", "d/c"]))
    def write_and_read(self, peer: Peer, data: bytes, name: str) -> None:
        peer.complete()
        written = peer.client.send("write", data, path=name)
        assert peer.answer(written).result["size"] == len(data)
        read = peer.client.send("read", path=name, raw=True)
        assert peer.answer(read).payload == data

    @rule(peer=peers, op=st.sampled_from(["nonsense", "", "ping\n", "__class__", "lua_reset\0"]))
    def call_what_is_not_there(self, peer: Peer, op: str) -> None:
        peer.complete()
        assert peer.answer(peer.client.send(op)).code == "unknown_operation"

    @rule(peer=peers, number=st.integers(1, 3))
    def start(self, peer: Peer, number: int) -> None:
        peer.complete()
        for _ in range(number):
            identity = peer.next_id()
            peer.client.send_raw(SLEEP % identity)
            peer.running.add(identity)

    @rule(peer=peers, twice=st.booleans())
    def cancel(self, peer: Peer, twice: bool) -> None:
        peer.complete()
        if peer.running:
            identity = peer.running.pop()
            peer.client.send_raw(b'{"cancel":%d}\n' % identity * (2 if twice else 1))
            assert peer.answer(identity).code == "cancelled"

    @rule(peer=peers, what=_ODD_CANCELS)
    def cancel_what_is_not_there(self, peer: Peer, what: str) -> None:
        peer.complete()
        peer.client.send_raw(b'{"cancel":' + what.encode() + b"}\n")

    @rule(peer=peers, cut=st.integers(1, 200))
    def send_half(self, peer: Peer, cut: int) -> None:
        """The rest of the frame comes with a later step, or never."""
        peer.complete()
        payload = os.urandom(100)
        header = {"id": peer.next_id(), "op": "write", "args": {"path": "half"}, "bytes": 100}
        frame = json.dumps(header).encode() + b"\n" + payload
        cut = min(cut, len(frame) - 1)
        peer.client.send_raw(frame[:cut])
        peer.owed = frame[cut:]

    @rule(peer=consumes(peers))
    def leave(self, peer: Peer) -> None:
        self.here.remove(peer)
        peer.leave()

    @rule(peer=consumes(peers))
    def stop_sending(self, peer: Peer) -> None:
        self.here.remove(peer)
        peer.client.socket.shutdown(socket.SHUT_WR)
        peer.ends()

    @rule(peer=consumes(peers), data=_GARBAGE)
    def send_garbage(self, peer: Peer, data: bytes) -> None:
        peer.complete()
        self.here.remove(peer)
        peer.client.send_raw(data)
        peer.ends()

    @rule(peer=consumes(peers))
    def use_an_identifier_twice(self, peer: Peer) -> None:
        peer.complete()
        self.here.remove(peer)
        identity = peer.next_id()
        peer.client.send_raw(SLEEP % identity * 2)
        peer.ends()

    @rule(peer=consumes(peers), length=st.integers(1, 1 << 20))
    def break_off_a_payload(self, peer: Peer, length: int) -> None:
        peer.complete()
        self.here.remove(peer)
        header = {"id": 1, "op": "write", "args": {"path": "never"}, "bytes": length}
        peer.client.send_raw(json.dumps(header).encode() + b"\n" + b"x" * (length // 2))
        peer.leave()

    @invariant()
    def others_are_served(self) -> None:
        with self.server.connect() as client:
            assert client.call("ping").result == {}
        assert not (self.server.root / "never").exists()

    @invariant()
    def only_what_is_wanted_runs(self) -> None:
        wanted = sum(len(peer.running) for peer in self.here)
        eventually(lambda: len(children(self.server.process.pid)) == wanted)

    def teardown(self) -> None:
        for peer in self.here:
            peer.leave()
        self.here.clear()
        eventually(lambda: not children(self.server.process.pid))


def children(parent: int) -> list[int]:
    """Processes of a parent that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_whatever_peers_do_the_next_one_is_served(module_server: ToolServer) -> None:
    class Bound(Peers):
        server = module_server

    run_state_machine_as_test(Bound, settings=STEPS)
    assert module_server.process.poll() is None


def test_the_count_of_processes_sees_one_that_stays(client: RawClient, server: ToolServer) -> None:
    """The control: a command that runs is counted."""
    client.send_raw(SLEEP % 1)
    eventually(lambda: len(children(server.process.pid)) == 1)
    time.sleep(0.3)
    assert len(children(server.process.pid)) == 1
