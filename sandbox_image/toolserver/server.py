"""Connections: reading requests, running them, writing replies in whole frames.

A connection that sends something malformed, or stops reading what it asked for, ends; its
foreground requests are cancelled. Nothing a peer does ends the server.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from _queue import Empty, SimpleQueue
from contextlib import suppress

from sandbox_image.toolserver.errors import ToolFailure, no_thread
from sandbox_image.toolserver.operations import OPERATIONS, execute
from sandbox_image.toolserver.requests import Request
from sandbox_image.toolserver.services import Services
from sandbox_image.toolserver.threads import ThreadRefused, start_thread
from sandbox_image.toolserver.wire import (
    FrameReader,
    MalformedFrame,
    payload_length,
    send_frame,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WIRE_VERSION = 1
"""Version of the frames and operations, said in the first line."""

MAX_CONNECTIONS = 32
"""Connections at once; a further one is told `limit_connections` and closed."""

MAX_IN_FLIGHT = 64
"""Unanswered requests of one connection; a further one is answered `limit_requests`."""

SEND_TIMEOUT_S = 30
"""Seconds a peer may leave a reply unread before its connection is closed."""

_IDLE_THREAD_S = 20.0
_MAX_ID = 1 << 53


class Threads:
    """Threads for operations that may take long; an idle one is used again."""

    def __init__(self) -> None:
        """Start with none."""
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread that is idle, or on a new one; raises `ThreadRefused`."""
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
                self._work.put(work)
                return
        start_thread(self._run, work)

    def _run(self, work: Callable[[], None]) -> None:
        while True:
            work()
            with self._lock:
                self._idle += 1
            try:
                work = self._work.get(timeout=_IDLE_THREAD_S)
            except Empty:
                with self._lock:
                    # Work may have been put for this thread after its patience ended.
                    if self._work.empty():
                        self._idle -= 1
                        return
                work = self._work.get()


class Connection:
    """One peer: a reading thread, and replies from whichever thread has one."""

    def __init__(self, connection: socket.socket, services: Services, threads: Threads) -> None:
        """Own `connection` from now on."""
        self._socket = connection
        self._services = services
        self._threads = threads
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._requests: dict[int, Request] = {}
        self._closed = False

    def serve(self) -> None:
        """Greet, answer until the peer ends, then cancel what is still running."""
        timeout = struct.pack("ll", SEND_TIMEOUT_S, 0)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
            root = self._services.root.path
            hello = {"version": WIRE_VERSION, "root": root, "pid": os.getpid()}
            self._send({"hello": hello})
            self._answer_all(FrameReader(self._socket))
        except MalformedFrame as malformed:
            error = {"code": "malformed", "message": str(malformed)}
            self._send({"id": None, "ok": False, "error": error})
        except OSError:
            # The peer is gone; there is nobody to tell.
            pass
        finally:
            self._end()

    def _answer_all(self, reader: FrameReader) -> None:
        while (header := reader.header()) is not None:
            if "cancel" in header:
                self._cancel(header["cancel"])
                continue
            identity, operation, arguments = _parse_request(header)
            payload = reader.payload(payload_length(header))
            self._accept(identity, operation, arguments, payload)

    def _accept(
        self, identity: int, operation: str, arguments: dict[str, object], payload: bytes
    ) -> None:
        def stream(name: str, data: bytes) -> None:
            if not self._send({"id": identity, "stream": name}, data):
                raise ToolFailure("cancelled", "nobody reads the output")

        request = Request(operation, arguments, payload, stream)
        with self._lock:
            if identity in self._requests:
                raise MalformedFrame(f"request {identity} is still running")
            full = len(self._requests) >= MAX_IN_FLIGHT
            if not full:
                self._requests[identity] = request
        if full:
            self._fail(identity, ToolFailure("limit_requests", "too many requests in flight"))
            return
        row = OPERATIONS.get(operation)
        if row is None or row.quick:
            self._answer(identity, request)
        else:
            try:
                self._threads.submit(lambda: self._answer(identity, request))
            except ThreadRefused:
                self._services.watch.refused(errno.EAGAIN)
                self._forget(identity)
                self._fail(identity, no_thread())

    def _answer(self, identity: int, request: Request) -> None:
        try:
            result, payload = execute(self._services, request)
        except ToolFailure as failure:
            self._forget(identity)
            self._fail(identity, failure)
            return
        self._forget(identity)
        self._send({"id": identity, "ok": True, "result": result}, payload)

    def _forget(self, identity: int) -> None:
        with self._lock:
            self._requests.pop(identity, None)

    def _fail(self, identity: int, failure: ToolFailure) -> None:
        error: dict[str, object] = {"code": failure.code, "message": failure.message[:2000]}
        if failure.data is not None:
            error["data"] = failure.data
        self._send({"id": identity, "ok": False, "error": error}, failure.payload)

    def _cancel(self, identity: object) -> None:
        with self._lock:
            request = self._requests.get(identity) if type(identity) is int else None
        if request is not None:
            try:
                # Killing a tree of processes takes time the reader must not lose.
                self._threads.submit(request.cancel)
            except ThreadRefused:
                request.cancel()

    def _send(self, header: dict[str, object], payload: bytes = b"") -> bool:
        """Write one frame; False when the peer is gone or does not read."""
        with self._sending:
            if self._closed:
                return False
            try:
                send_frame(self._socket, header, payload)
                return True
            except OSError:
                self._closed = True
                self._shut_down()
                return False

    def _shut_down(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        self._shut_down()
        with self._sending:
            self._closed = True
        self.cancel_all()
        self._socket.close()

    def cancel_all(self) -> None:
        """Cancel every request that still runs."""
        with self._lock:
            running = list(self._requests.values())
        for request in running:
            request.cancel()


def _parse_request(header: dict[str, object]) -> tuple[int, str, dict[str, object]]:
    identity, operation = header.get("id"), header.get("op")
    arguments = header.get("args", {})
    if type(identity) is not int or not 0 <= identity < _MAX_ID:
        raise MalformedFrame("`id` is not a number")
    if not isinstance(operation, str) or not isinstance(arguments, dict):
        raise MalformedFrame("`op` or `args` is missing or mistyped")
    return identity, operation, arguments


class Server:
    """Accepts connections until it is told to stop; its bounds hold for all listeners together."""

    def __init__(self, services: Services) -> None:
        """Serve nothing yet."""
        self._services = services
        self._threads = Threads()
        self._lock = threading.Lock()
        self._open: set[Connection] = set()

    def serve_forever(self, listener: socket.socket) -> None:
        """Accept and serve; returns only by an exception such as `SystemExit`.

        May run on several threads, each with a listener of its own.
        """
        while True:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if not _transient(error):
                    raise
                continue
            peer = Connection(connection, self._services, self._threads)
            with self._lock:
                full = len(self._open) >= MAX_CONNECTIONS
                if not full:
                    self._open.add(peer)
            if full:
                _refuse(connection)
                continue
            try:
                self._threads.submit(lambda one=peer: self._serve(one))  # type: ignore[misc]
            except ThreadRefused:
                self._services.watch.refused(errno.EAGAIN)
                with self._lock:
                    self._open.discard(peer)
                _refuse(connection)

    def _serve(self, peer: Connection) -> None:
        try:
            peer.serve()
        finally:
            with self._lock:
                self._open.discard(peer)

    def close(self) -> None:
        """End all connections and what runs for them."""
        with self._lock:
            peers = list(self._open)
        for peer in peers:
            peer.cancel_all()


def _transient(error: OSError) -> bool:
    """Whether accepting can go on: the listener itself is sound."""
    if error.errno in (errno.EBADF, errno.EINVAL, errno.ENOTSOCK):
        return False
    # Out of descriptors, for example; without a pause this would spin.
    time.sleep(0.05)
    return True


def _refuse(connection: socket.socket) -> None:
    error = {"code": "limit_connections", "message": "too many connections"}
    try:
        connection.settimeout(0.1)
        send_frame(connection, {"id": None, "ok": False, "error": error})
    except OSError:
        pass
    finally:
        connection.close()
