"""`docker compose up --wait`, then the client's commands from the host."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.requirements import SANDBOX_IMAGE, require_docker

REPOSITORY = Path(__file__).resolve().parents[2]
OWNER = 4321
"""A person who is not the one that starts Compose."""

pytestmark = [pytest.mark.compose, pytest.mark.docker, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Stack:
    """A stack of Compose of this test's own, with a home and a project in it."""

    environment: dict[str, str]
    home: Path
    project: Path
    url: str

    def compose(self, *arguments: str) -> str:
        """Run `docker compose` and return what it printed."""
        done = subprocess.run(
            ["docker", "compose", "--progress", "plain", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=480,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-6000:]}"
        return done.stdout

    def jido(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `jido` on the host, as a person would, with `changes` of the environment."""
        return subprocess.run(
            [sys.executable, "-m", "orchestrator.cli.main", *arguments],
            cwd=self.project,
            env={**self.environment, "JIDO_URL": self.url, **changes},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The scripted model server as a process that containers can reach, and its record."""
    directory = tmp_path_factory.mktemp("model")
    script, record = directory / "script.json", directory / "record.jsonl"
    edit = {"path": "notes.txt", "old_text": "draft", "new_text": "final"}
    script.write_text(
        json.dumps(
            {
                "replies": [
                    {
                        "text": "Looking.",
                        "calls": [{"name": "read_file", "arguments": {"path": "notes.txt"}}],
                    },
                    {"calls": [{"name": "edit_file", "arguments": edit}]},
                    {"text": "The notes are final now.", "delay_s": 2},
                ]
            }
        )
    )
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.model_server",
            "--host",
            "0.0.0.0",
            "--script",
            str(script),
            "--record",
            str(record),
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline().strip().rstrip("/").removesuffix("/v1").rsplit(":", 1)[1])
    yield port, record
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, model_server: tuple[int, Path]
) -> Iterator[Stack]:
    """Compose, up and healthy; down again at the end with everything it made."""
    require_docker()
    base = tmp_path_factory.mktemp("person")
    for directory in base, *base.parents[:2]:
        directory.chmod(0o755)
    home = base / "home"
    project = home / "project"
    project.mkdir(parents=True)
    (project / "notes.txt").write_text("draft\n")
    if os.geteuid() == 0:
        for path in home, project, project / "notes.txt":
            os.chown(path, OWNER, OWNER)
    port = _free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "DOCKER_CONFIG": str(base / "docker"),
        "DOCKER_HOST": os.environ.get("DOCKER_HOST", ""),
        "COMPOSE_PROJECT_NAME": f"jido-test-{secrets.token_hex(4)}",
        "JIDO_PORT": str(port),
        "JIDO_SANDBOX_IMAGE": SANDBOX_IMAGE,
        "JIDO_MODEL": "openai:scripted",
        "JIDO_OPENAI_BASE_URL": f"http://host.docker.internal:{model_server[0]}/v1",
        "OPENAI_API_KEY": "sk-never-in-a-sandbox",
    }
    running = Stack(environment, home, project, f"http://127.0.0.1:{port}")
    try:
        running.compose("up", "--build", "--detach", "--wait")
        yield running
    finally:
        running.compose("down", "--volumes", "--timeout", "20")
        shutil.rmtree(home, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sandboxes(stack: Stack) -> list[str]:
    """Containers of sessions of this stack's installation, by name."""
    instance = (stack.home / ".jido_code/instance").read_text().strip()
    done = subprocess.run(
        [
            "docker",
            "ps",
            "--all",
            "--format",
            "{{.Names}}",
            "--filter",
            "label=jido.session",
            "--filter",
            f"label=jido.instance={instance}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_turn_edits_a_file_that_stays_its_owners(
    stack: Stack, model_server: tuple[int, Path]
) -> None:
    seen: list[list[str]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(_sandboxes(stack))
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        outcome = stack.jido(
            "run", "--project", str(stack.project), "--prompt", "Finish the notes.", "--json"
        )
    finally:
        over.set()
        watcher.join()

    assert outcome.returncode == 0, outcome.stderr
    result: dict[str, Any] = json.loads(outcome.stdout.splitlines()[-1])
    assert (result["type"], result["status"]) == ("result", "done")
    assert result["text"].strip().endswith("The notes are final now.")
    assert result["files_changed"] == ["notes.txt"]
    assert (stack.project / "notes.txt").read_text() == "final\n"
    owner = stack.project.stat().st_uid
    assert {path.lstat().st_uid for path in stack.project.rglob("*")} == {owner}
    assert max(len(names) for names in seen) == 1
    assert _sandboxes(stack) == []
    assert len(model_server[1].read_text().splitlines()) == 3


def test_a_tool_that_is_trusted_on_the_host_runs_in_the_sandbox(stack: Stack) -> None:
    directory = stack.project / ".jido_code/tools"
    directory.mkdir(parents=True, exist_ok=True)
    tool = directory / "read_notes.lua"
    tool.write_text(
        "return { name = 'read_notes', description = 'Reads the notes.', "
        "run = function() return (jido.read_file('notes.txt')) end }"
    )
    if os.geteuid() == 0:
        for path in directory.parent, directory, tool:
            os.chown(path, OWNER, OWNER)
    refused = stack.jido("lua", "--tool", "read_notes")
    assert (refused.returncode, refused.stdout) == (125, "")
    assert "it is not trusted" in refused.stderr
    # Nobody but its owner can use a home, so root trusts in another and hands the list over.
    own = stack.home.with_name("own")
    trusted = stack.jido("trust", str(stack.project), JIDO_HOME=str(own))
    assert trusted.returncode == 0, trusted.stderr
    list_of_trust = stack.home / ".jido_code/trusted.json"
    shutil.move(own / "trusted.json", list_of_trust)
    os.chown(list_of_trust, stack.home.stat().st_uid, stack.home.stat().st_gid)
    done = stack.jido("lua", "--tool", "read_notes")
    assert done.returncode == 0, done.stderr
    assert done.stdout in ('"draft\\n"\n', '"final\\n"\n')


def test_a_command_in_the_sandbox_finds_no_key(stack: Stack) -> None:
    outcome = stack.jido("exec", "--project", str(stack.project), "--", "sh", "-c", "env; id -u")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.strip().endswith(str(stack.project.stat().st_uid))
    assert "never-in-a-sandbox" not in outcome.stdout
    # The control: the same word is in the worker's environment.
    assert "never-in-a-sandbox" in stack.compose("exec", "--no-TTY", "worker", "env")


def test_everything_in_the_home_belongs_to_its_owner(stack: Stack) -> None:
    found = {path: path.lstat().st_uid for path in (stack.home / ".jido_code").rglob("*")}
    assert stack.home / ".jido_code/token" in found
    assert set(found.values()) == {stack.home.stat().st_uid}


@pytest.mark.parametrize("service", ["redis", "api", "worker", "supervisor"])
def test_processes_serve_without_root_and_without_capabilities(stack: Stack, service: str) -> None:
    script = (
        "for p in /proc/[0-9]*; do "
        r"sed -n 's/^Uid:[^0-9]*\([0-9]*\).*/\1/p;s/^CapEff:.//p' $p/status; done"
    )
    words = stack.compose("exec", "--no-TTY", service, "sh", "-c", script).split()
    pairs = list(zip(words[::2], words[1::2], strict=True))
    serving = [capabilities for uid, capabilities in pairs if uid == str(stack.home.stat().st_uid)]
    assert serving
    if os.geteuid() == 0:
        assert set(serving) == {"0" * 16}


def test_only_the_supervisor_has_the_engine_and_only_the_api_a_port(stack: Stack) -> None:
    services = json.loads(stack.compose("config", "--format", "json"))["services"]
    socket_path = "/var/run/docker.sock"
    holders = [
        name
        for name, service in services.items()
        if any(volume["target"] == socket_path for volume in service.get("volumes", []))
    ]
    assert holders == ["supervisor"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert list(published) == ["api"]
    assert {port["host_ip"] for port in published["api"]} == {"127.0.0.1"}
    assert all(
        service["read_only"] and service["cap_drop"] == ["ALL"] for service in services.values()
    )
