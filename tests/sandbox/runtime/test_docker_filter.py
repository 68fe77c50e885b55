"""Which system call filter a container gets, by what the engine says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.sandboxes.docker_container import EngineTraits, host_config
from orchestrator.sandboxes.docker_containers import engine_facts
from orchestrator.sandboxes.docker_filter import filter_profile
from orchestrator.sandboxes.runtime import SandboxSpec
from orchestrator.sandboxes.seccomp import ARCHITECTURES
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
