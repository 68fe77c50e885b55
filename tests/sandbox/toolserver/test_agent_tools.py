"""The agent's tools over a real tool server: guarded writes, forgiving edits, its shell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic_ai.workspaces import WorkspaceError, WorkspaceTimeoutError

from orchestrator.agent.request import StopSignal
from orchestrator.domain.history import Answer
from orchestrator.sandboxes.agent_workspace import SEEN, AgentWorkspace, Preview
from tests.sandbox.toolserver.test_commands import await_death, await_file
from tests.support.toolserver import ToolServer
from tests.unit.agent.stage import Play


@pytest.fixture
async def workspace(server: ToolServer) -> AsyncIterator[AgentWorkspace]:
    backend = AgentWorkspace(str(server.socket_path), "session")
    yield backend
    await (await backend.channel()).request("shell_reset", {"name": "main"})
    await backend.aclose()


@pytest.fixture
def play(workspace: AgentWorkspace, server: ToolServer) -> Play:
    return Play(server.root, workspace=workspace)


async def said(play: Play, prompt: str) -> list[tuple[str, str]]:
    """Run a turn; returns status and text of each tool's result."""
    before = len(play.sink.of("tool.result"))
    outcome = await play.prompt(prompt)
    assert outcome.status == "completed", outcome
    return [(data["status"], data["text"]) for data in play.sink.of("tool.result")[before:]]


async def test_a_file_never_read_is_not_overwritten(play: Play, server: ToolServer) -> None:
    target = server.root / "notes.txt"
    target.write_text("by a person\n")
    ((status, text),) = await said(play, "write notes.txt by the agent")
    assert status == "error"
    assert "read it first" in text
    assert target.read_text() == "by a person\n"
    # To write what is there already overwrites nothing.
    target.write_text("twice\n")
    assert (await said(play, "write notes.txt twice"))[0][0] == "ok"
    target.write_text("by a person\n")
    # The control: the same write once the file was read, in a turn of its own.
    await said(play, "read notes.txt")
    assert (await said(play, "write notes.txt by the agent"))[0][0] == "ok"
    assert target.read_text() == "by the agent\n"


async def test_a_file_that_changed_since_it_was_read_is_not_overwritten(
    play: Play, server: ToolServer
) -> None:
    target = server.root / "notes.txt"
    await said(play, "write notes.txt first")
    await said(play, "write notes.txt second")
    assert target.read_text() == "second\n"
    target.write_text("by a person meanwhile\n")
    ((status, text),) = await said(play, "write notes.txt third")
    assert status == "error"
    assert "changed since it was read" in text
    assert target.read_text() == "by a person meanwhile\n"
    await said(play, "read notes.txt\nwrite notes.txt third")
    assert target.read_text() == "third\n"


async def test_what_a_command_wrote_has_to_be_read(play: Play, server: ToolServer) -> None:
    await said(play, "write notes.txt first\nrun echo more >> notes.txt")
    assert (await said(play, "write notes.txt second"))[0][0] == "error"
    assert (server.root / "notes.txt").read_text() == "first\nmore\n"


async def test_an_edit_keeps_what_others_wrote_and_what_is_known(
    play: Play, server: ToolServer
) -> None:
    target = server.root / "notes.txt"
    await said(play, "write notes.txt one")
    assert (await said(play, 'edit notes.txt "one" "two"'))[0][0] == "ok"
    # An edit of a file whose content the agent knew leaves it known.
    assert (await said(play, "write notes.txt three"))[0][0] == "ok"
    target.write_text("three\nby a person\n")
    assert (await said(play, 'edit notes.txt "three" "four"'))[0][0] == "ok"
    assert target.read_text() == "four\nby a person\n"
    # It saw but a part: the whole is still not its to replace.
    assert (await said(play, "write notes.txt five"))[0][0] == "error"
    assert target.read_text() == "four\nby a person\n"


async def test_edits_forgive_whitespace_and_take_the_files_indentation(
    play: Play, server: ToolServer
) -> None:
    target = server.root / "a.py"
    target.write_text("class A:\n    def f(self):\n        return 1\n")
    edit = 'edit a.py "def f(self):\\n    return 1" "def f(self):\\n    return 2"'
    assert (await said(play, edit))[0][0] == "ok"
    assert target.read_text() == "class A:\n    def f(self):\n        return 2\n"
    target.write_text("  x\ny\n    x\n")
    ((status, text),) = await said(play, 'edit a.py "x " "z"')
    assert status == "error"
    assert "2 times" in text
    ((status, text),) = await said(play, 'edit a.py "nowhere" "z"')
    assert (status, "not found" in text) == ("error", True)
    assert target.read_text() == "  x\ny\n    x\n"


async def test_the_shell_stays_from_turn_to_turn(play: Play, server: ToolServer) -> None:
    (server.root / "d").mkdir()
    ((_, first),) = await said(play, "shell cd d && x=kept")
    assert f"[directory: {server.root}/d]" in first
    ((status, text),) = await said(play, "shell echo $x; pwd; echo no >&2; false")
    assert status == "ok"
    assert f"kept\n{server.root}/d\n" in text
    assert "[stderr]\nno" in text
    assert "[exit code: 1]" in text
    ((_, ended),) = await said(play, "shell exit 3")
    assert "[exit code: 3]" in ended
    assert "ended" in ended
    live = [data for data in play.sink.of("tool.output") if "kept" in data["text"]]
    assert live


async def test_the_shell_asks_like_any_command(play: Play, server: ToolServer) -> None:
    play.approval = "edits"
    outcome = await play.prompt("shell touch made")
    (pending,) = outcome.approvals
    assert (outcome.status, pending.tool) == ("awaiting_approval", "shell")
    assert not (server.root / "made").exists()
    outcome = await play.go_on({pending.call_id: Answer(decision="once")})
    assert outcome.status == "completed"
    assert (server.root / "made").exists()


async def test_of_much_output_the_agent_sees_both_ends(play: Play) -> None:
    # A subshell: `exit` would end a shell that stays.
    much = "(echo BEGIN; seq 1500000; echo END; echo no >&2; exit 3)"
    for verb in ("run", "shell"):
        ((status, text),) = await said(play, f"{verb} {much}")
        assert status == "ok"
        assert "BEGIN\n1\n2\n" in text
        assert "bytes cut" in text
        assert "1500000\nEND\n" in text
        assert "[stderr]\nno" in text
        assert "[exit code: 3]" in text


async def test_cancelling_a_turn_ends_what_runs_in_the_shell(
    play: Play, server: ToolServer
) -> None:
    stop = StopSignal()
    running = asyncio.create_task(play.prompt("shell echo $$ | tee pid; sleep 100", stop))
    await play.sink.until(lambda: bool(play.sink.of("tool.output")))
    stop.ask("cancelled")
    outcome = await running
    assert outcome.status == "cancelled"
    await_death(int(await_file(server.root / "pid")))


async def test_a_shell_times_out_with_what_it_said(workspace: AgentWorkspace) -> None:
    with pytest.raises(WorkspaceTimeoutError) as caught:
        await workspace.run_in_shell("x=1; echo before; sleep 100", "main", 0.5)
    assert caught.value.stdout == "before\n"
    result, _ = await workspace.run_in_shell('echo "[$x]"', "main", 30)
    assert result.stdout == "[]\n"
    await workspace.run_in_shell("x=1", "main", 30)
    result, _ = await workspace.run_in_shell('echo "[$x]"', "main", 30, reset=True)
    assert result.stdout == "[]\n"
    with pytest.raises(ValueError, match="name"):
        await workspace.run_in_shell("true", "", 30)


async def test_previews_change_nothing(workspace: AgentWorkspace, server: ToolServer) -> None:
    (server.root / "f").write_text("a\nb\n")
    preview = await workspace.preview_edits("f", [("a", "c")])
    assert preview == Preview(b"a\nb\n", b"c\nb\n")
    assert await workspace.preview_edits("f", [("z", "c")]) is None
    assert await workspace.preview_edits("none", [("z", "c")]) is None
    assert (server.root / "f").read_text() == "a\nb\n"
    with pytest.raises(WorkspaceError):
        await workspace.write_expected("f", b"x", SEEN)
    await workspace.write_expected("new", b"x", SEEN)
    await workspace.write_expected("new", b"y", SEEN)
    assert (server.root / "new").read_text() == "y"
