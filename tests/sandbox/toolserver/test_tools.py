"""The typed calls into a sandbox, and the workspace's own rules beyond the conformance suite."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai.workspaces import (
    WorkspaceOutputLimitError,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)

from orchestrator.sandboxes import results
from orchestrator.sandboxes.errors import (
    Ambiguous,
    Changed,
    ChannelProtocolError,
    NoMatch,
    TooLarge,
    ToolTimeout,
    tool_error,
)
from orchestrator.sandboxes.replies import Reply
from orchestrator.sandboxes.tools import Replacement, SandboxTools
from orchestrator.sandboxes.workspace import SandboxWorkspace, translate
from tests.support.toolserver import ToolServer


@pytest.fixture
async def workspace(server: ToolServer) -> AsyncIterator[SandboxWorkspace]:
    backend = SandboxWorkspace(str(server.socket_path), "session", environment={"MINE": "1"})
    yield backend
    await backend.aclose()


async def test_commands_are_streamed(tools: SandboxTools, server: ToolServer) -> None:
    seen: dict[str, bytes] = {"stdout": b"", "stderr": b""}

    def keep(stream: str, data: bytes) -> None:
        seen[stream] += data

    assert await tools.exec_stream("echo out; echo err >&2; exit 4", keep) == 4
    assert seen == {"stdout": b"out\n", "stderr": b"err\n"}
    (server.root / "d").mkdir()
    assert await tools.exec_stream(["pwd"], keep, cwd="d") == 0
    assert seen["stdout"].endswith(b"/d\n")
    with pytest.raises(ToolTimeout):
        await tools.exec_stream(["sleep", "30"], keep, timeout_s=0.2)


async def test_scripts_have_results(tools: SandboxTools) -> None:
    good = await tools.run_lua("print('hi') return {1, 'x'}")
    assert (good.ok, good.value, good.output, good.error_code) == (True, [1, "x"], "hi\n", None)
    assert good.elapsed_ms > 0
    bad = await tools.run_lua("error('no')", name="mine")
    assert (bad.ok, bad.error_code, bad.error_message) == (False, "lua_error", "mine:1: no")
    slow = await tools.run_lua("jido.shell('sleep 9')", timeout_s=0.2)
    assert slow.error_code == "lua_timeout"
    await tools.reset_lua()
    with pytest.raises(TooLarge):
        await tools.run_lua("-" * 2_000_000)


async def test_files_are_guarded_by_their_hash(tools: SandboxTools, server: ToolServer) -> None:
    written = await tools.write("f", b"one\ntwo\n", expected_hash="absent")
    page = await tools.read_lines("f", limit=1)
    assert (page.text, page.lines, page.total_lines) == ("one", 1, 2)
    assert page.content_hash == written
    (server.root / "f").write_text("else\n")
    with pytest.raises(Changed):
        await tools.write("f", b"mine", expected_hash=written)
    with pytest.raises(NoMatch):
        await tools.edit("f", [Replacement("two", "2")])
    edited = await tools.edit("f", [Replacement("else", "x x")])
    assert edited.replacements == 1
    with pytest.raises(Ambiguous):
        await tools.edit("f", [Replacement("x", "y")], expected_hash=edited.content_hash)
    with pytest.raises(TooLarge):
        await tools.write("big", bytes(10_485_761))


async def test_the_project_is_searched(tools: SandboxTools, server: ToolServer) -> None:
    (server.root / "src").mkdir()
    (server.root / "src/a.py").write_text("Needle\n")
    assert await tools.find_files("sa") == ["src/a.py"]
    assert await tools.glob("**/*.py") == ["src/a.py"]
    hits = await tools.grep("needle", ignore_case=True, glob="*.py")
    assert [(hit.path, hit.line, hit.text) for hit in hits] == [("src/a.py", 1, "Needle")]


async def test_the_workspace_adds_its_environment(workspace: SandboxWorkspace) -> None:
    result = await workspace.run("echo $MINE$OTHER", shell=True, env={"OTHER": "2"})
    assert result.stdout == "12\n"


async def test_commands_of_any_length_run_or_say_why_not(workspace: SandboxWorkspace) -> None:
    long = await workspace.run(["printf", "%s", "x" * 100_000])
    assert len(long.stdout) == 100_000
    with pytest.raises(OSError, match="too long") as caught:
        await workspace.run(["printf", "%s", "x" * 200_000])
    assert caught.value.errno == errno.E2BIG
    for wrong in ([], [""], ["a\0b"]):
        with pytest.raises(ValueError, match="command"):
            await workspace.run(wrong)
    with pytest.raises(ValueError, match="timeout"):
        await workspace.run(["true"], timeout=-1)


async def test_output_beyond_the_limit_is_an_error(workspace: SandboxWorkspace) -> None:
    with pytest.raises(WorkspaceOutputLimitError) as caught:
        await workspace.run("printf BEGIN; cat /dev/zero", shell=True)
    assert caught.value.stdout.startswith("BEGIN")


async def test_a_timeout_brings_the_output_so_far(workspace: SandboxWorkspace) -> None:
    with pytest.raises(WorkspaceTimeoutError) as caught:
        await workspace.run("echo early; sleep 30", shell=True, timeout=0.3)
    assert caught.value.stdout == "early\n"


async def test_large_files(workspace: SandboxWorkspace, server: ToolServer) -> None:
    data = bytes(range(256)) * 4096 * 20
    (server.root / "large").write_bytes(data)
    assert await workspace.read_bytes(f"{server.root}/large") == data
    with (server.root / "sparse").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(OSError, match="larger") as caught:
        await workspace.read_bytes(f"{server.root}/sparse")
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(OSError, match="larger"):
        await workspace.write_bytes(f"{server.root}/f", bytes(17 << 20))


async def test_a_socket_nobody_serves_is_unavailable() -> None:
    with pytest.raises(WorkspaceUnavailableError):
        await SandboxWorkspace("/nonexistent/socket", "session").working_dir()


def test_errors_are_builtin_where_there_is_one() -> None:
    assert isinstance(translate(tool_error("not_found", "m"), "p"), FileNotFoundError)
    assert isinstance(translate(tool_error("outside_project", "m"), "p"), PermissionError)
    assert isinstance(translate(tool_error("read_only", "m"), ""), PermissionError)
    assert isinstance(translate(tool_error("invalid_argument", "m"), "p"), ValueError)
    assert isinstance(translate(tool_error("internal", "m"), "p"), RuntimeError)


_GOOD: dict[str, Any] = {"stdout": [1, 1, 5], "stderr": [1, 0, 0]}


def test_output_is_cut_where_it_says() -> None:
    output = results.output_of(_GOOD, b"abc")
    assert output.stdout.whole == b"a\n[... 5 bytes cut ...]\nb"
    assert output.stderr.whole == b"c"


@pytest.mark.parametrize(
    "described",
    [
        None,
        {},
        {"stdout": [1, 1], "stderr": [1, 0, 0]},
        {"stdout": [1, 1, -1], "stderr": [1, 0, 0]},
        {"stdout": [1, True, 0], "stderr": [1, 0, 0]},
        {"stdout": [9, 1, 0], "stderr": [1, 0, 0]},
    ],
)
def test_output_of_the_wrong_shape_is_refused(described: object) -> None:
    with pytest.raises(ChannelProtocolError):
        results.output_of(described, b"abc")


def test_results_of_the_wrong_shape_are_refused() -> None:
    for read in (results.integer, results.text, results.flag):
        for number in range(4):
            with pytest.raises(ChannelProtocolError):
                read({"x": (None, [], 1.5, 1 << 70)[number]}, "x")
    for data in (b"", b"{}", b"[1]", b"[" * 5000):
        with pytest.raises(ChannelProtocolError):
            results.json_rows(Reply({}, data))
