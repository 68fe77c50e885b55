"""What one sandbox may use of the machine: each limit is the kernel's own word."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import RUNTIMES, Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-limits")

FORKS = program(
    """
    # More processes than a sandbox may have, fewer than any machine.
    for _ in range(600):
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    """
)

THREADS = program(
    """
    import threading
    threading.stack_size(65536)
    try:
        for _ in range(600):
            threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
    except RuntimeError as error:
        refuse(errno.EAGAIN, str(error))
    os.write(PIPE, json.dumps({"outcome": "allowed", "detail": ""}).encode())
    os._exit(0)
    """
)

MEMORY = program(
    """
    kept = []
    for _ in range(80):
        kept.append(b"x" * (10 << 20))
    """
)

FILES = "kept = [open('/dev/null') for _ in range(4200)]"

CORE = program(
    """
    # A process that dies of a fault writes no core file, whatever it asks for.
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
    child = os.fork()
    if child == 0:
        os.abort()
    unless(os.WCOREDUMP(os.waitpid(child, 0)[1]), errno.EFBIG)
    """
)

SWAP = program(
    """
    # The limit of memory with swap is more than that of memory alone.
    places = ("/sys/fs/cgroup/memory/memory.{}limit_in_bytes", "/sys/fs/cgroup/memory.{}max")
    found = [place for place in places if os.path.exists(place.format(""))]
    if not found:
        refuse(errno.ENOENT, "no control group is shown")
    limit = int(open(found[0].format("")).read())
    swap = open(found[0].format("memsw." if "limit" in found[0] else "swap.")).read()
    unless(int(swap) > (limit if "limit" in found[0] else 0), errno.ENOSPC)
    """
)

PROBES = (
    Probe("fork-without-end", FORKS, "EAGAIN", "unlimited"),
    Probe("start-threads-without-end", THREADS, "EAGAIN", "unlimited"),
    Probe("take-memory-without-end", MEMORY, "SIGKILL ENOMEM", "unlimited"),
    Probe("open-files-without-end", FILES, "EMFILE", "unlimited"),
    Probe("write-a-core-file", CORE, "EFBIG", "unlimited", absent="EFBIG"),
    Probe("swap-without-end", SWAP, "ENOSPC ENOENT", "swapping", absent="ENOENT"),
    Probe(
        "lock-memory",
        "LIBC.mlockall(3) and refuse(ctypes.get_errno()); kept = b'x' * (64 << 20)",
        "EPERM EAGAIN ENOMEM",
        "privileged",
    ),
    Probe(
        "fill-message-queues",
        "unless(LIBC.mq_open(b'/probe', os.O_CREAT | os.O_RDWR, 0o600, None) >= 0, "
        "ctypes.get_errno()); LIBC.mq_unlink(b'/probe')",
        "EMFILE",
        "unlimited",
    ),
)


@cases(PROBES, RUNTIMES)
def test_limits(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
