"""Output of a command kept in bounds: the head and the tail, with the cut counted."""

from __future__ import annotations


class HeadAndTail:
    """Keeps the first half and the last half of `limit` bytes."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` bytes; 0 keeps nothing and counts everything."""
        self._half = limit - limit // 2
        self._tail_limit = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take more output."""
        self.total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail += data
            if len(self._tail) > 2 * self._tail_limit + 65536:
                self._trim()

    def _trim(self) -> None:
        excess = len(self._tail) - self._tail_limit
        if excess > 0:
            del self._tail[:excess]

    def parts(self) -> tuple[bytes, bytes, int]:
        """Return head, tail and the number of bytes cut out between them."""
        self._trim()
        head, tail = bytes(self._head), bytes(self._tail)
        return head, tail, self.total - len(head) - len(tail)


def join_marked(head: bytes, tail: bytes, cut: int) -> bytes:
    """Join head and tail with a line that says how much is missing."""
    if not cut:
        return head + tail
    return b"%s\n[... %d bytes cut ...]\n%s" % (head, cut, tail)
