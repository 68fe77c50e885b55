"""The system call filter of containers, in the engine's own words.

Owns which calls a sandbox may make: what the engine's built-in profile allows to a
process without capabilities, and less. On top of that profile it refuses families of
sockets that only reach into the kernel, setting the bits that make a program run as
its owner, foreign architectures, and a few young or wide calls. Refuses by default:
a call that is not listed here is none of a sandbox's.
"""

from __future__ import annotations

import errno
import json
from functools import cache
from typing import Any, Final

from orchestrator.sandboxes.seccomp import (
    CREATING,
    NEW_NAMESPACE_FLAGS,
    PERSONALITIES,
    PROCESS_HANDLES,
    REFUSED_CONTROLS,
    SET_IDENTITY_BITS,
    SOCKET_FAMILIES,
    SOCKET_LEVEL,
)

_CREATE_MODES: Final = {"open": (1, 2), "openat": (2, 3)}
"""Calls that may make a file: places of their flags and of the mode they then use."""

_MODES: Final = {
    "chmod": 1,
    "fchmod": 1,
    "fchmodat": 2,
    "fchmodat2": 2,
    "creat": 1,
    "mknod": 1,
    "mknodat": 2,
}
"""Calls that set a mode, and its place among the arguments."""

_OPTION_CALLS: Final = ("getsockopt", "setsockopt")
"""Calls whose second and third arguments name a level and an option of it."""

_ALLOWED: Final = """
accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chown
clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range dup dup2
dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2
execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir
fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat
get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid
getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
getresuid getrlimit getrusage getsid getsockname gettid gettimeofday getuid
getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
io_destroy io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set kill
landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat
listen listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise
map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mlock mlock2
mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink
mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat
pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev
pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom
recvmmsg recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer
setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid
setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 splice
stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat uretprobe
utime utimensat utimes vfork vmsplice wait4 waitid write writev
"""


@cache
def filter_profile() -> str:
    """Return the profile as the engine takes it: JSON with conditions on arguments."""
    rules: list[dict[str, Any]] = [{"names": _ALLOWED.split(), "action": "SCMP_ACT_ALLOW"}]
    rules += [_when(name, _no_bits(place, SET_IDENTITY_BITS)) for name, place in _MODES.items()]
    for name, (flags, mode) in _CREATE_MODES.items():
        # Without the flags the mode is not read, and may hold anything.
        rules += [_when(name, _no_bits(flags, CREATING))]
        rules += [_when(name, _no_bits(mode, SET_IDENTITY_BITS))]
    for name in ("socket", "socketpair"):
        rules += [_when(name, _equal(0, family)) for family in SOCKET_FAMILIES]
    rules += [_when("personality", _equal(0, each)) for each in PERSONALITIES]
    rules += [_when("ioctl", each) for each in _outside(1, REFUSED_CONTROLS)]
    rules += _options()
    rules += [_when("clone", _no_bits(0, NEW_NAMESPACE_FLAGS))]
    # What these take lies in memory that no filter can read; libraries fall back.
    absent = {"names": ["clone3", "openat2"], "action": "SCMP_ACT_ERRNO"}
    rules += [{**absent, "errnoRet": errno.ENOSYS}]
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": errno.EPERM,
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
            ],
            "syscalls": rules,
        }
    )


def _options() -> list[dict[str, Any]]:
    """Allow every option of a socket but those that hand out processes.

    Of these it is said that there are none, as older kernels say; programs fall back.
    """
    first, last = PROCESS_HANDLES
    level = ((SOCKET_LEVEL, SOCKET_LEVEL),)
    allowed = [*_outside(1, level), *_outside(2, ((first, last),))]
    hidden = [
        {
            "names": [name],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": errno.ENOPROTOOPT,
            "args": [_equal(1, SOCKET_LEVEL), _equal(2, option)],
        }
        for name in _OPTION_CALLS
        for option in range(first, last + 1)
    ]
    return [*(_when(name, each) for name in _OPTION_CALLS for each in allowed), *hidden]


def _when(name: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [condition]}


def _equal(place: int, value: int) -> dict[str, Any]:
    return {"index": place, "value": value, "valueTwo": 0, "op": "SCMP_CMP_EQ"}


def _no_bits(place: int, mask: int) -> dict[str, Any]:
    return {"index": place, "value": mask, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}


def _outside(
    place: int,
    ranges: tuple[tuple[int, int], ...],
    first: int = 0,
    size: int = 1 << 32,
) -> list[dict[str, Any]]:
    """Return conditions of which one holds when the argument at `place` is in none of `ranges`.

    Each names leading bits of the lower half: the kernel reads no more of it, while comparisons
    look at the whole, so that bits above would carry a refused word past them.
    """
    last = first + size - 1
    if any(low <= first and last <= high for low, high in ranges):
        return []
    if all(last < low or high < first for low, high in ranges):
        mask = (1 << 32) - size
        return [{"index": place, "value": mask, "valueTwo": first, "op": "SCMP_CMP_MASKED_EQ"}]
    half = size // 2
    return [
        *_outside(place, ranges, first, half),
        *_outside(place, ranges, first + half, half),
    ]
