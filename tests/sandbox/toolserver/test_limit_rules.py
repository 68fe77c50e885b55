"""When the tool server counts a limit as met: short processors, and files of a program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox_image.toolserver.limits import Counter
from sandbox_image.toolserver.open_files import OpenFiles
from sandbox_image.toolserver.throttling import Throttling

LIMIT = 901
"""Files that a program of these tests may have; fewer than the tests themselves may."""

OPENS = """
import os, resource, sys
limit, kept = int(sys.argv[1]), []
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, int(sys.argv[2])))
try:
    while len(kept) < int(sys.argv[3]):
        kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(error.errno, flush=True)
else:
    print("enough", flush=True)
for each in sys.stdin:
    if each.startswith("close"):
        os.closerange(3, int(each.split()[1]))
    elif each.startswith("dup"):
        os.dup2(0, int(each.split()[1]))
    print("done", flush=True)
"""


def looks(*samples: tuple[float, int, int]) -> list[bool]:
    """Judge samples: seconds that passed, periods in which something ran, and was stopped."""
    now, periods, throttled = 100.0, 0, 0
    rule, found = Throttling(now), []
    for passed, ran, stopped in samples:
        now, periods, throttled = now + passed, periods + ran, throttled + stopped
        found.append(rule.met(now, periods, throttled))
    return found


def test_processors_are_short_once_half_of_two_looks_was_held_back() -> None:
    idle, busy, full = (5.0, 3, 0), (5.0, 50, 24), (5.0, 50, 25)
    assert looks(idle, busy, idle, busy, busy, busy) == [False] * 6
    assert looks(full, full) == [False, True]
    assert looks(full, idle, full, idle) == [False] * 4
    # Once for as long as it lasts, and again after a look in which it did not.
    assert looks(*[full] * 9).count(True) == 1
    assert looks(full, full, full, busy, full, full) == [False, True, False, False, False, True]


def test_a_burst_is_none_however_short_the_periods_and_long_the_look() -> None:
    # Three tenths of a second: no other period passed, as nothing ran in the rest.
    assert looks(*[(5.0, 3, 3)] * 4) == [False] * 4
    # Periods of ten milliseconds: fifty of five hundred are a tenth.
    assert looks(*[(5.0, 500, 50)] * 4) == [False] * 4
    # A look that came late needs as much more.
    assert looks(*[(20.0, 200, 60)] * 4) == [False] * 4
    assert looks(*[(20.0, 200, 100)] * 2) == [False, True]
    assert looks(*[(5.0, 0, 0)] * 4) == [False] * 4


@pytest.mark.parametrize("text", ["nr_throttled max\n", "nr_throttled \n", "", "other 3\n"])
def test_what_the_kernels_file_does_not_say_counts_nothing_new(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cpu.stat"
    file.write_text("nr_periods 7\nnr_throttled 2\nthrottled_time 9\n")
    counter = Counter((str(tmp_path / "missing"), str(file)), "nr_throttled")
    file.write_text("nr_periods 9\nnr_throttled 6\nthrottled_time 9\n")
    assert counter.value() == 4
    file.write_text(text)
    assert counter.value() == 4
    file.unlink()
    assert counter.value() == 4
    assert Counter((str(file),), "nr_throttled").value() == 0


@contextmanager
def opener(soft: int, wanted: int, hard: int = LIMIT) -> Iterator[subprocess.Popen[str]]:
    """A program with at most `soft` files, which it may raise to `hard`, that opens `wanted`."""
    words = [sys.executable, "-I", "-S", "-c", OPENS, str(soft), str(hard), str(wanted)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def says(process: subprocess.Popen[str], order: str = "") -> str:
    """Give a program an order, or none, and return its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    if order:
        process.stdin.write(f"{order}\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_program_counts_once_when_it_has_all_files_that_it_may() -> None:
    files = OpenFiles(LIMIT)
    files.look()
    with opener(LIMIT, LIMIT - 100) as process:
        assert says(process) == "enough"
        assert files.look() == 0
        with opener(LIMIT, 9999) as other, opener(LIMIT, 9999) as third:
            assert {says(other), says(third)} == {"24"}
            assert files.look() == 2
            assert files.look() == 0
            # That it closes some and meets it again is the same program.
            assert says(other, "close 20") == "done"
            assert files.look() == 0
        with opener(LIMIT, 9999) as later:
            assert says(later) == "24"
            assert files.look() == 1


def test_a_program_that_lowered_its_own_limit_meets_its_own() -> None:
    files = OpenFiles(LIMIT)
    files.look()
    with opener(100, 9999) as process:
        assert says(process) == "24"
        assert files.look() == 0


def test_a_program_that_closed_some_again_is_still_seen_and_one_high_number_is_not() -> None:
    files = OpenFiles(LIMIT)
    files.look()
    with opener(LIMIT, 10) as process:
        assert says(process) == "enough"
        assert says(process, f"dup {LIMIT - 1}") == "done"
        assert files.look() == 0
    with opener(LIMIT, 9999) as process:
        assert says(process) == "24"
        assert says(process, f"close {LIMIT // 3}") == "done"
        assert files.look() == 1


def test_this_process_counts_its_own_refusals_elsewhere() -> None:
    files = OpenFiles(LIMIT)
    files.look()
    kept = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while kept[-1] < LIMIT - 1:
            kept.append(os.open(os.devnull, os.O_RDONLY))
        assert files.look() == 0
    finally:
        for each in kept:
            os.close(each)
