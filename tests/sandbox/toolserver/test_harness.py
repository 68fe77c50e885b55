"""The coding tools of pydantic-ai-harness over a sandbox's workspace."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.workspaces import Workspace
from pydantic_ai_harness.coder import Coder

from orchestrator.sandboxes.workspace import SandboxWorkspace
from tests.support.toolserver import ToolServer

Call = tuple[str, dict[str, Any]]


@pytest.fixture
async def workspace(server: ToolServer) -> AsyncIterator[SandboxWorkspace]:
    backend = SandboxWorkspace(str(server.socket_path), "session")
    yield backend
    await backend.aclose()


async def run_calls(workspace: SandboxWorkspace, calls: list[Call]) -> list[str]:
    """Let a scripted model make the calls one after another; returns what the tools answered."""
    remaining = list(calls)

    async def script(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        if not remaining:
            yield "done"
            return
        name, arguments = remaining.pop(0)
        yield {0: DeltaToolCall(name=name, json_args=json.dumps(arguments))}

    agent = Agent(FunctionModel(stream_function=script), capabilities=[Coder()])
    result = await agent.run("go", workspace=Workspace(workspace))
    assert result.output == "done"
    returned = [
        part
        for message in result.all_messages()
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    return [str(part.content) for part in returned]


async def test_files_are_written_read_and_edited(
    workspace: SandboxWorkspace, server: ToolServer
) -> None:
    answers = await run_calls(
        workspace,
        [
            ("write_file", {"path": "a.py", "content": "x = 1\ny = 2\n"}),
            ("read_file", {"path": "a.py"}),
            ("edit_file", {"path": "a.py", "old_text": "y = 2", "new_text": "y = 3"}),
        ],
    )
    assert "y = 2" in answers[1]
    assert (server.root / "a.py").read_text() == "x = 1\ny = 3\n"


async def test_a_shell_command_runs_in_the_project(
    workspace: SandboxWorkspace, server: ToolServer
) -> None:
    (server.root / "b.txt").write_text("needle\n")
    answers = await run_calls(
        workspace,
        [
            ("shell", {"command": "pwd; cat b.txt; echo made > c.txt; exit 3"}),
            ("grep", {"pattern": "need.e"}),
        ],
    )
    assert str(server.root) in answers[0]
    assert "needle" in answers[0]
    assert "3" in answers[0]
    assert (server.root / "c.txt").read_text() == "made\n"
    assert "b.txt" in answers[1]


async def test_a_link_out_of_the_project_is_refused(
    workspace: SandboxWorkspace, server: ToolServer
) -> None:
    (server.root / "inside.txt").write_text("visible")
    (server.root / "good").symlink_to(server.root / "inside.txt")
    (server.root / "bad").symlink_to("/etc/hostname")
    answers = await run_calls(
        workspace, [("read_file", {"path": "good"}), ("list_files", {"path": "."})]
    )
    assert "visible" in answers[0]
    with pytest.raises(PermissionError):
        await workspace.read_bytes(f"{server.root}/bad")


async def test_output_is_published_while_a_command_runs(server: ToolServer) -> None:
    seen: list[tuple[str, bytes]] = []

    async def publish(stream: str, data: bytes) -> None:
        seen.append((stream, data))

    backend = SandboxWorkspace(str(server.socket_path), "session", on_output=publish)
    try:
        result = await backend.run("printf out; printf err >&2", shell=True)
    finally:
        await backend.aclose()
    assert (result.stdout, result.stderr) == ("out", "err")
    assert sorted(seen) == [("stderr", b"err"), ("stdout", b"out")]
