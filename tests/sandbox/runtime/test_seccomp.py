"""The filter's program, judged by running it: a small machine for the instructions it uses."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import product

import pytest

from orchestrator.sandboxes.seccomp import (
    ARCHITECTURES,
    REFUSED_CONTROLS,
    UnknownArchitecture,
    filter_program,
)

ALLOW, KILL = 0x7FFF0000, 0x80000000
PERMISSION, NO_CALL, NO_OPTION = 0x00050001, 0x00050026, 0x0005005C

ABOVE = (0, 1 << 32, 0xFFFFFFFF << 32)
"""Bits above what the kernel reads of an argument, which change nothing of what it does."""


def verdict(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """Run the program on a system call and return its verdict."""
    data = struct.pack("=IIQ", number, audit, 0)
    data += b"".join(struct.pack("=Q", value) for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
    place, loaded = 0, 0
    while True:
        code, jump_true, jump_false, value = struct.unpack_from("=HBBI", program, place * 8)
        place += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
            continue
        truth = {0x15: loaded == value, 0x45: bool(loaded & value), 0x35: loaded >= value}[code]
        place += jump_true if truth else jump_false


def at(place: int, value: int, others: Sequence[int] = (0,) * 6) -> list[int]:
    """Arguments of a call with one of them given."""
    return [*others[:place], value, *others[place + 1 :]]


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_verdicts(machine: str) -> None:
    known, program = ARCHITECTURES[machine], filter_program(machine)
    audit = known.audit_number
    for number in known.refused.values():
        assert verdict(program, audit, number) == PERMISSION
    assert verdict(program, audit, known.clone3) == NO_CALL
    assert verdict(program, audit, known.clone, 0x10000000 | 17) == PERMISSION
    assert verdict(program, audit, known.clone, 0x00010900) == ALLOW
    for family in (1, 2, 10, 16):
        assert verdict(program, audit, known.socket, family) == ALLOW
        assert verdict(program, audit, known.socketpair, family) == ALLOW
    for family in (17, 38, 40):
        assert verdict(program, audit, known.socket, family) == PERMISSION
        assert verdict(program, audit, known.socketpair, family) == PERMISSION
    for number, place in known.modes.items():
        assert verdict(program, audit, number, *at(place, 0o100755)) == ALLOW
        assert verdict(program, audit, number, *at(place, 0o104755)) == PERMISSION
        assert verdict(program, audit, number, *at(place, 0o102755)) == PERMISSION
    for number, (flags, mode) in known.creates.items():
        for creating in (0o100, 0o20200000):
            made = at(flags, creating)
            assert verdict(program, audit, number, *at(mode, 0o4755, made)) == PERMISSION
            assert verdict(program, audit, number, *at(mode, 0o755, made)) == ALLOW
        # Without making a file the mode is not read, whatever lies there.
        assert verdict(program, audit, number, *at(mode, 0o4755)) == ALLOW
    assert verdict(program, audit, known.personality, 0xFFFFFFFF) == ALLOW
    assert verdict(program, audit, known.personality, 0x0040000) == PERMISSION
    assert verdict(program, audit, known.openat2) == NO_CALL
    assert verdict(program, audit, 500) == NO_CALL
    assert verdict(program, audit, 0) == ALLOW
    assert verdict(program, 0x40000003, 0) == KILL


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_only_requests_of_the_table_are_refused_to_ioctl(machine: str) -> None:
    known, program = ARCHITECTURES[machine], filter_program(machine)
    refused = {each for first, last in REFUSED_CONTROLS for each in range(first, last + 1)}
    assert refused >= {0x5412, 0x541C, 0x894C, 0x89E0}
    # Asking a terminal, for unread bytes, and for the devices of a network go on.
    assert not refused & {0x5401, 0x541B, *range(0x8910, 0x8940)}
    for number in {each + step for each in refused for step in (-1, 0, 1)} | {0, 0xFFFFFFFF}:
        wanted = PERMISSION if number in refused else ALLOW
        for above in ABOVE:
            seen = verdict(program, known.audit_number, known.ioctl, 3, number | above)
            assert seen == wanted, hex(number)


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_only_options_that_hand_out_processes_are_missing(machine: str) -> None:
    known, program = ARCHITECTURES[machine], filter_program(machine)
    for call, level, option in product(known.socket_options, (0, 1, 2, 6, 17, 41, 270), range(128)):
        wanted = NO_OPTION if level == 1 and option in (76, 77) else ALLOW
        for above in ABOVE:
            arguments = (3, level | above, option | above)
            assert verdict(program, known.audit_number, call, *arguments) == wanted, arguments


def test_the_second_interface_of_x86_64_is_closed() -> None:
    assert verdict(filter_program("x86_64"), 0xC000003E, 0x40000000 | 1) == NO_CALL


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(UnknownArchitecture):
        filter_program("pdp11")
