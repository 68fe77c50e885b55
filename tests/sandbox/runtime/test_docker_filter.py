"""Which system call filter a container gets, by what the engine says of itself."""

from __future__ import annotations

import errno
import json
from itertools import product
from typing import Any

import pytest

from orchestrator.sandboxes.docker_container import EngineTraits, host_config
from orchestrator.sandboxes.docker_containers import engine_facts
from orchestrator.sandboxes.docker_filter import filter_profile
from orchestrator.sandboxes.runtime import SandboxSpec
from orchestrator.sandboxes.seccomp import ARCHITECTURES, REFUSED_CONTROLS
from tests.support.sandboxes import LIMITS

SPEC = SandboxSpec("session", "instance", "/project", 1000, 1000, "image", LIMITS)


def options(traits: EngineTraits) -> list[str]:
    found: list[str] = host_config(SPEC, [], traits)["SecurityOpt"]
    return found


@pytest.mark.parametrize(
    ("said", "own", "filters"),
    [
        (["name=seccomp,profile=builtin"], False, True),
        (["name=apparmor", "name=seccomp,profile=default", "name=cgroupns"], False, True),
        (["name=seccomp,profile=unconfined"], False, True),
        (["name=seccomp,profile=/etc/docker/strict.json"], True, True),
        (["name=apparmor"], False, False),
        (None, False, False),
    ],
)
def test_a_filter_of_the_engines_owner_is_kept(
    said: list[str] | None, own: bool, filters: bool
) -> None:
    info: dict[str, Any] = {"SecurityOptions": said, "Runtimes": {"runc": {}}}
    facts = engine_facts(info)
    assert (facts.traits.filter_of_its_own, facts.filters_calls) == (own, filters)
    given = [each for each in options(facts.traits) if each.startswith("seccomp=")]
    assert given == ([] if own else [f"seccomp={filter_profile()}"])
    assert options(facts.traits)[0] == "no-new-privileges:true"


def test_what_bubblewrap_refuses_no_container_may() -> None:
    profile = json.loads(filter_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]
    }
    # Debuggers trace their own children; the engine's profile allows that, and so does ours.
    tracing = {"ptrace", "process_vm_readv", "process_vm_writev"}
    assert allowed & set(ARCHITECTURES["x86_64"].refused) == tracing
    assert not allowed & {"clone3", "openat2", "socketcall"}
    assert all(not each["subArchitectures"] for each in profile["archMap"])


def said(call: str, *arguments: int) -> int:
    """What the profile answers a call: 0 when it is allowed, else the error's number."""
    profile = json.loads(filter_profile())
    answers = {
        rule.get("errnoRet", 0)
        for rule in profile["syscalls"]
        if call in rule["names"]
        and all(holds(each, arguments[each["index"]]) for each in rule.get("args", []))
    }
    # Which of several rules wins is the engine's to say, so they may not differ.
    assert len(answers) < 2, (call, arguments)
    return int(answers.pop()) if answers else int(profile["defaultErrnoRet"])


def holds(condition: dict[str, Any], argument: int) -> bool:
    """Whether a condition holds; the engine compares all 64 bits, where the kernel may read 32."""
    if condition["op"] == "SCMP_CMP_EQ":
        return bool(argument == condition["value"])
    assert condition["op"] == "SCMP_CMP_MASKED_EQ"
    return bool(argument & condition["value"] == condition["valueTwo"])


ABOVE = (0, 1 << 32, 0xFFFFFFFF << 32)
"""Bits above what the kernel reads of an argument, which change nothing of what it does."""


@pytest.mark.parametrize("call", ["getsockopt", "setsockopt"])
def test_only_options_that_hand_out_processes_are_missing(call: str) -> None:
    for level, option in product((0, 1, 2, 6, 17, 41, 270, 0xFFFFFFFF), (*range(70, 84), 1 << 31)):
        hidden = level == 1 and option in (76, 77)
        assert said(call, 3, level, option) == (errno.ENOPROTOOPT if hidden else 0)
        for above in ABOVE[1:]:
            wanted = errno.EPERM if hidden else 0
            assert said(call, 3, level | above, option) == wanted
            assert said(call, 3, level, option | above) == wanted


def test_only_requests_of_the_table_are_refused_to_ioctl() -> None:
    edges = {each + step for pair in REFUSED_CONTROLS for each in pair for step in (-1, 0, 1)}
    for number in edges | {0x5401, 0x541B, 0x8912, 0x8933, 0, 0xFFFFFFFF}:
        refused = any(first <= number <= last for first, last in REFUSED_CONTROLS)
        for above in ABOVE:
            assert said("ioctl", 3, number | above) == (errno.EPERM if refused else 0), hex(number)
