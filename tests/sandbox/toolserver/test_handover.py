"""A socket handed over through the project: who gets it, and what else is refused on both sides."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.endpoint import listen_unix
from orchestrator.sandboxes.handover import Handover, HandoverFailed, hand_over
from sandbox_image.toolserver.handover import Door
from sandbox_image.toolserver.startup import parse
from tests.support.toolserver import running


@pytest.fixture
def project() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jido-ho-") as directory:
        path = Path(os.path.realpath(directory))
        (path / ".jido_code").mkdir()
        yield path


@pytest.fixture
def listener(project: Path) -> Iterator[socket.socket]:
    with listen_unix(str(project / "channel.sock")) as made:
        yield made


def place(handover: Handover) -> Path:
    return Path(handover.project_path) / ".jido_code" / handover.name


def listening(path: Path, backlog: int = 1) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    made.listen(backlog)
    return made


async def test_the_tool_server_serves_what_it_is_handed(listener: socket.socket) -> None:
    name = "handover-0123abcd"
    with running(handover=name) as server:
        await hand_over(Handover(str(server.root), name), listener)
        listener.setblocking(True)
        path = listener.getsockname()
        listener.close()
        async with await Channel.connect(path) as channel:
            assert channel.hello.root == str(server.root)
            # The socket it made itself is served beside it, by the same server.
            async with await Channel.connect(str(server.socket_path)) as other:
                assert other.hello.pid == channel.hello.pid
        assert not (server.root / ".jido_code" / name).exists()


def test_what_an_ended_server_left_is_removed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    own = project / ".jido_code"
    listening(own / "handover-00").close()
    (own / "kept").write_bytes(b"")
    door = Door("handover-11")
    assert sorted(each.name for each in own.iterdir()) == ["handover-11", "kept"]
    door.close()
    assert [each.name for each in own.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    "name", ["x", "handover-", "handover-../x", "handover-a/b", "../handover-a"]
)
def test_no_other_name_is_listened_at(name: str) -> None:
    words = ["--root", "/", "--unix", "/nowhere/s", "--handover"]
    assert parse([*words, "handover-00ff"]).handover == "handover-00ff"
    with pytest.raises(ValueError, match="handover"):
        parse([*words, name])


def _a_link(target: Path, path: Path) -> None:
    path.symlink_to(target)


def _a_file(target: Path, path: Path) -> None:
    path.write_bytes(b"")


def _a_pipe(target: Path, path: Path) -> None:
    os.mkfifo(path)


def _a_directory(target: Path, path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("put", [_a_link, _a_file, _a_pipe, _a_directory])
async def test_only_a_socket_in_its_own_place_is_visited(
    project: Path, listener: socket.socket, put: Callable[[Path, Path], None]
) -> None:
    handover = Handover.of(str(project))
    with listening(project / "another.sock") as another:
        put(project / "another.sock", place(handover))
        with pytest.raises(HandoverFailed):
            await hand_over(handover, listener)
        another.setblocking(False)
        with pytest.raises(BlockingIOError):
            another.accept()
        # The same socket in the place itself is visited.
        second = Handover.of(str(project))
        os.rename(project / "another.sock", place(second))
        await hand_over(second, listener)
        another.accept()[0].close()


async def test_no_link_leads_to_the_place(project: Path, listener: socket.socket) -> None:
    handover = Handover.of(str(project))
    elsewhere = project / "elsewhere"
    (project / ".jido_code").rename(elsewhere)
    (project / ".jido_code").symlink_to(elsewhere)
    with listening(elsewhere / handover.name) as waiting:
        with pytest.raises(HandoverFailed):
            await hand_over(handover, listener)
        (project / ".jido_code").unlink()
        elsewhere.rename(project / ".jido_code")
        await hand_over(handover, listener)
        waiting.accept()[0].close()


async def test_nobody_there_ends_in_time(project: Path, listener: socket.socket) -> None:
    handover = Handover.of(str(project))
    with pytest.raises(HandoverFailed, match="nobody"):
        await hand_over(handover, listener)
    listening(place(handover)).close()
    with pytest.raises(HandoverFailed, match="nobody"):
        await hand_over(handover, listener)


async def test_one_that_accepts_nobody_is_not_waited_for(
    project: Path, listener: socket.socket
) -> None:
    handover = Handover.of(str(project))
    with (
        listening(place(handover), backlog=0),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as another,
    ):
        another.connect(str(place(handover)))
        async with asyncio.timeout(1):
            with pytest.raises(HandoverFailed):
                await hand_over(handover, listener)


def _nothing(visitor: socket.socket, listener: socket.socket) -> None:
    visitor.send(b"1")


def _two(visitor: socket.socket, listener: socket.socket) -> None:
    socket.send_fds(visitor, [b"1"], [listener.fileno(), listener.fileno()])


def _not_listening(visitor: socket.socket, listener: socket.socket) -> None:
    socket.send_fds(visitor, [b"1"], [visitor.fileno()])


def _no_socket(visitor: socket.socket, listener: socket.socket) -> None:
    with open("/dev/null") as file:
        socket.send_fds(visitor, [b"1"], [file.fileno()])


def _of_the_network(visitor: socket.socket, listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        socket.send_fds(visitor, [b"1"], [other.fileno()])


def _gone(visitor: socket.socket, listener: socket.socket) -> None:
    return


@pytest.mark.parametrize(
    "send", [_nothing, _two, _not_listening, _no_socket, _of_the_network, _gone]
)
def test_the_tool_server_takes_one_listening_socket_only(
    project: Path,
    listener: socket.socket,
    send: Callable[[socket.socket, socket.socket], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def one(visitor: socket.socket, listener: socket.socket) -> None:
        socket.send_fds(visitor, [b"1"], [listener.fileno()])

    monkeypatch.chdir(project)
    for what, taken in ((send, False), (one, True)):
        before = len(os.listdir("/proc/self/fd"))
        door = Door("handover-22")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.connect(".jido_code/handover-22")
            what(visitor, listener)
        received = door.receive()
        assert (received is not None) is taken
        if received is not None:
            received.close()
        assert len(os.listdir("/proc/self/fd")) == before
        assert not Path(".jido_code/handover-22").exists()


def test_a_door_is_its_owners_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    door = Door("handover-33")
    assert Path(".jido_code/handover-33").stat().st_mode & 0o777 == 0o600
    door.close()
