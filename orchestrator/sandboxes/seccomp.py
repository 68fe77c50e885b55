"""The system call filter of sandboxes that no engine filters: a small BPF program.

Owns which calls are refused and how. It is a list of refusals, not of permissions:
what an unprivileged process may do is left to it, what reaches into the kernel's
wide or young corners is not, nor is making a program that runs as its owner: whoever
started it outside would be the owner then. Refuses foreign architectures as a whole,
and every call younger than this list.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_SET: Final = 0x45
_JUMP_GREATER_EQUAL: Final = 0x35
_RETURN: Final = 0x06

_ALLOW: Final = 0x7FFF0000
_ERROR: Final = 0x00050000
_KILL_PROCESS: Final = 0x80000000

_OFFSET_NUMBER: Final = 0
_OFFSET_ARCHITECTURE: Final = 4
_OFFSET_ARGUMENTS: Final = 16

NEW_NAMESPACE_FLAGS: Final = 0x7E020000
"""CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET."""

SOCKET_FAMILIES: Final = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; AF_VSOCK would reach the hypervisor."""

PERSONALITIES: Final = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux, with 32 bits of addresses, with an old name of the kernel, and asking for it.
Others switch protections off, as that of addresses nobody can guess."""

SET_IDENTITY_BITS: Final = 0o6000
"""The bits of a mode by which a program runs as its owner or its group."""

CREATING: Final = 0o20000100
"""O_CREAT and O_TMPFILE: only with one of them does opening use a mode."""

_YOUNGEST_CALL: Final = 469
"""Greatest call number that was looked at; what came later is not there."""

SOCKET_LEVEL: Final = 1
"""SOL_SOCKET: options of a socket of whichever family."""

PROCESS_HANDLES: Final = (76, 77)
"""SO_PASSPIDFD and SO_PEERPIDFD, first and last: handles of whoever is at a socket's other end,
also of a process outside that connected to a socket served inside."""

REFUSED_CONTROLS: Final = (
    (0x5412, 0x5412),
    (0x541C, 0x541C),
    (0x8940, 0x8941),
    (0x894C, 0x894C),
    (0x8980, 0x89FF),
    (0x8B00, 0x8BFF),
)
"""Numbers of ioctl, first and last. TIOCSTI and TIOCLINUX type into somebody's terminal. The rest
asks a socket for the network of its maker, and a channel's is made outside: SIOCGSKNS hands its
namespace out, SIOCUNIXFILE opens its file, and beside them are bridges, bonds, what drivers have of
their own, and wireless networks with their names."""

_X32_BIT: Final = 0x40000000
"""Call numbers from here on are a second interface of x86_64 that would pass the list by."""

_SAME_EVERYWHERE: Final = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "set_mempolicy_home_node": 450,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
}

_X86_64: Final = {
    "ptrace": 101,
    "syslog": 103,
    "uselib": 134,
    "vhangup": 153,
    "modify_ldt": 154,
    "pivot_root": 155,
    "adjtimex": 159,
    "chroot": 161,
    "acct": 163,
    "settimeofday": 164,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "sethostname": 170,
    "setdomainname": 171,
    "iopl": 172,
    "ioperm": 173,
    "init_module": 175,
    "delete_module": 176,
    "quotactl": 179,
    "lookup_dcookie": 212,
    "clock_settime": 227,
    "mbind": 237,
    "set_mempolicy": 238,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "migrate_pages": 256,
    "unshare": 272,
    "move_pages": 279,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "clock_adjtime": 305,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
}

_AARCH64: Final = {
    "lookup_dcookie": 18,
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "chroot": 51,
    "vhangup": 58,
    "quotactl": 60,
    "acct": 89,
    "unshare": 97,
    "kexec_load": 104,
    "init_module": 105,
    "delete_module": 106,
    "clock_settime": 112,
    "syslog": 116,
    "ptrace": 117,
    "reboot": 142,
    "sethostname": 161,
    "setdomainname": 162,
    "settimeofday": 170,
    "adjtimex": 171,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "swapon": 224,
    "swapoff": 225,
    "mbind": 235,
    "set_mempolicy": 237,
    "migrate_pages": 238,
    "move_pages": 239,
    "perf_event_open": 241,
    "fanotify_init": 262,
    "name_to_handle_at": 264,
    "open_by_handle_at": 265,
    "clock_adjtime": 266,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "kcmp": 272,
    "finit_module": 273,
    "bpf": 280,
    "userfaultfd": 282,
    "kexec_file_load": 294,
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """Call numbers of one processor family."""

    audit_number: int
    clone: int
    socket: int
    socketpair: int
    ioctl: int
    socket_options: tuple[int, int]
    """getsockopt and setsockopt."""
    personality: int
    refused: dict[str, int]
    modes: dict[int, int]
    """Calls that set a mode, and its place among the arguments."""
    creates: dict[int, tuple[int, int]]
    """Calls that may make a file: places of their flags and of the mode."""
    clone3: int = 435
    openat2: int = 437
    has_x32: bool = False


ARCHITECTURES: Final = {
    "x86_64": Architecture(
        0xC000003E,
        clone=56,
        socket=41,
        socketpair=53,
        ioctl=16,
        socket_options=(55, 54),
        personality=135,
        refused={**_SAME_EVERYWHERE, **_X86_64},
        # chmod, fchmod, fchmodat, fchmodat2, creat, mknod, mknodat
        modes={90: 1, 91: 1, 268: 2, 452: 2, 85: 1, 133: 1, 259: 2},
        creates={2: (1, 2), 257: (2, 3)},
        has_x32=True,
    ),
    "aarch64": Architecture(
        0xC00000B7,
        clone=220,
        socket=198,
        socketpair=199,
        ioctl=29,
        socket_options=(209, 208),
        personality=92,
        refused={**_SAME_EVERYWHERE, **_AARCH64},
        # fchmod, fchmodat, fchmodat2, mknodat
        modes={52: 1, 53: 2, 452: 2, 33: 2},
        creates={56: (2, 3)},
    ),
}


class UnknownArchitecture(Exception):
    """There is no table of call numbers for this machine."""


def filter_program(machine: str | None = None) -> bytes:
    """Return the program for a machine such as x86_64; None means this one.

    Raises UnknownArchitecture.
    """
    name = machine or platform.machine()
    if name not in ARCHITECTURES:
        raise UnknownArchitecture(f"no system call filter is known for {name}")
    architecture = ARCHITECTURES[name]
    program = [
        _instruction(_LOAD, _OFFSET_ARCHITECTURE),
        _instruction(_JUMP_EQUAL, architecture.audit_number, 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _OFFSET_NUMBER),
    ]
    if architecture.has_x32:
        program += [_instruction(_JUMP_GREATER_EQUAL, _X32_BIT, 0, 1), _refuse(errno.ENOSYS)]
    program += [
        _instruction(_JUMP_GREATER_EQUAL, _YOUNGEST_CALL + 1, 0, 1),
        _refuse(errno.ENOSYS),
    ]
    for number in sorted(architecture.refused.values()):
        program += [_instruction(_JUMP_EQUAL, number, 0, 1), _refuse(errno.EPERM)]
    # What these take lies in memory the filter cannot read; libraries fall back.
    for number in (architecture.clone3, architecture.openat2):
        program += [_instruction(_JUMP_EQUAL, number, 0, 1), _refuse(errno.ENOSYS)]
    program += _refuse_bits(architecture.clone, 0, NEW_NAMESPACE_FLAGS)
    for number, place in architecture.modes.items():
        program += _refuse_bits(number, place, SET_IDENTITY_BITS)
    for number, (flags, mode) in architecture.creates.items():
        program += _refuse_bits(number, mode, SET_IDENTITY_BITS, only_with=(flags, CREATING))
    program += _allow_only(architecture.socket, SOCKET_FAMILIES)
    program += _allow_only(architecture.socketpair, SOCKET_FAMILIES)
    program += _allow_only(architecture.personality, PERSONALITIES)
    program += _refuse_ranges(architecture.ioctl, 1, REFUSED_CONTROLS)
    for number in architecture.socket_options:
        program += _hide_options(number, SOCKET_LEVEL, PROCESS_HANDLES)
    program.append(_instruction(_RETURN, _ALLOW))
    return b"".join(program)


def _instruction(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)


def _refuse(number: int) -> bytes:
    return _instruction(_RETURN, _ERROR | number)


def _argument(place: int) -> bytes:
    """Load the low half of an argument; the kernel's words for these are no wider."""
    return _instruction(_LOAD, _OFFSET_ARGUMENTS + 8 * place)


def _refuse_bits(
    call: int, place: int, mask: int, only_with: tuple[int, int] | None = None
) -> list[bytes]:
    """Refuse `call` when its argument at `place` has one of the bits.

    `only_with` is another argument's place and the bits of which it must have one.
    """
    body = [
        _argument(place),
        _instruction(_JUMP_SET, mask, 0, 1),
        _refuse(errno.EPERM),
        _instruction(_RETURN, _ALLOW),
    ]
    if only_with is not None:
        other, bits = only_with
        body = [_argument(other), _instruction(_JUMP_SET, bits, 0, 3), *body]
    return [_instruction(_JUMP_EQUAL, call, 0, len(body)), *body]


def _allow_only(call: int, values: tuple[int, ...]) -> list[bytes]:
    """Refuse `call` unless its first argument is one of `values`."""
    tests = [
        # A hit jumps over the tests that are left and the refusal.
        _instruction(_JUMP_EQUAL, value, len(values) - place, 0)
        for place, value in enumerate(values)
    ]
    body = [_argument(0), *tests, _refuse(errno.EPERM)]
    body.append(_instruction(_RETURN, _ALLOW))
    return [_instruction(_JUMP_EQUAL, call, 0, len(body)), *body]


def _refuse_ranges(call: int, place: int, ranges: tuple[tuple[int, int], ...]) -> list[bytes]:
    """Refuse `call` when the argument at `place` lies in one of `ranges`."""
    body = [_argument(place)]
    for first, last in ranges:
        body += [*_within(first, last), _refuse(errno.EPERM)]
    body.append(_instruction(_RETURN, _ALLOW))
    return [_instruction(_JUMP_EQUAL, call, 0, len(body)), *body]


def _hide_options(call: int, level: int, options: tuple[int, int]) -> list[bytes]:
    """Answer `call` as a kernel does that has no such options; programs fall back then."""
    refusal = [_argument(2), *_within(*options), _refuse(errno.ENOPROTOOPT)]
    body = [_argument(1), _instruction(_JUMP_EQUAL, level, 0, len(refusal)), *refusal]
    body.append(_instruction(_RETURN, _ALLOW))
    return [_instruction(_JUMP_EQUAL, call, 0, len(body)), *body]


def _within(first: int, last: int) -> list[bytes]:
    """Go on to the next instruction when what is loaded lies in a range, else behind it."""
    return [
        _instruction(_JUMP_GREATER_EQUAL, first, 0, 2),
        _instruction(_JUMP_GREATER_EQUAL, last + 1, 1, 0),
    ]
