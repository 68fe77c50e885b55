"""A project's own tools in real sandboxes: what a program inside can do about them, and cannot."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.project_content import read_content
from orchestrator.cli.trusted import accept
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.project_tools import ToolSources
from orchestrator.sandboxes.tools import SandboxTools
from orchestrator.services.project_tools import CHANGED, NOT_TRUSTED, call, declare, load
from orchestrator.settings import Settings, load_settings
from tests.support.sandboxes import Sandboxes

TRUSTED = """
return {
  name = "who",
  description = "Says who runs and what may be written.",
  run = function()
    local id = assert(jido.shell({"id", "-u"}))
    local _, message = jido.write_file("/etc/planted", "x")
    return { text = "trusted", id = id.stdout, os = type(os), refused = message }
  end,
}
"""
PLANTED = TRUSTED.replace('text = "trusted"', 'text = "planted"')

SWAP = """
import os, time
home = ".jido_code/tools/"
files = [("planted", open(home + "planted.txt").read()), ("trusted", open(home + "own.txt").read())]
open(home + "swapping", "w").close()
end = time.monotonic() + 20
while time.monotonic() < end and not os.path.exists(home + "enough"):
    for name, text in files:
        with open(home + name, "w") as file:
            file.write(text)
        os.rename(home + name, home + "who.lua")
    os.symlink("planted.txt", home + "link")
    os.rename(home + "link", home + "who.lua")
"""


@pytest.fixture
def settings() -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="jido-home-") as home:
        yield load_settings(home=Path(home))


def trust(settings: Settings, project: Path) -> None:
    accept(settings, str(project), read_content(str(project)))


async def test_a_tool_runs_in_the_sandbox_as_its_owner(
    sandboxes: Sandboxes, settings: Settings
) -> None:
    sandbox = await sandboxes.start()
    project = str(sandbox.project)
    await sandbox.workspace.make_dir(".jido_code/tools")
    await sandbox.workspace.write_bytes(".jido_code/tools/who.lua", TRUSTED.encode())
    async with await Channel.connect(sandbox.socket_path) as channel:
        tools = SandboxTools(channel)
        loaded = await load(tools, settings.home, project)
        assert [(r.name, r.reason) for r in loaded.refusals] == [("who", NOT_TRUSTED)]
        assert not loaded.texts
        trust(settings, sandbox.project)
        loaded = await load(tools, settings.home, project)
        declared = await declare(tools, loaded)
        assert [tool.name for tool in declared.tools] == ["who"]
        done = await call(tools, loaded, "who", {}, 30)
        assert done.ok, done
        assert done.value["text"] == "trusted"
        assert done.value["id"].strip() == str(sandboxes.owner[0])
        assert done.value["os"] == "nil"
        assert "outside the project" in done.value["refused"]
        await sandbox.workspace.write_bytes(".jido_code/tools/who.lua", PLANTED.encode())
        loaded = await load(tools, settings.home, project)
        assert [(r.name, r.reason) for r in loaded.refusals] == [("who", CHANGED)]


async def test_a_program_that_swaps_the_file_all_the_time_never_gets_its_own_run(
    sandboxes: Sandboxes, settings: Settings
) -> None:
    sandbox = await sandboxes.start()
    project = str(sandbox.project)
    place = sandbox.project / ".jido_code/tools"
    await sandbox.workspace.make_dir(".jido_code/tools")
    for name, text in (("who.lua", TRUSTED), ("own.txt", TRUSTED), ("planted.txt", PLANTED)):
        await sandbox.workspace.write_bytes(f".jido_code/tools/{name}", text.encode())
    trust(settings, sandbox.project)
    async with (
        await Channel.connect(sandbox.socket_path) as swapping,
        await Channel.connect(sandbox.socket_path) as channel,
    ):
        job = await swapping.request("job_start", {"command": ["python3", "-c", SWAP]})
        tools = SandboxTools(channel)
        while not (place / "swapping").exists():
            await swapping.request("job_poll", {"job": job.result["job"], "wait_s": 0.05})
        seen: set[str] = set()
        for number in range(2000):
            loaded = await load(tools, settings.home, project)
            if "who" not in loaded.texts:
                seen |= {refusal.reason for refusal in loaded.refusals}
            else:
                result = await tools.call_tool("who", {}, loaded.sources)
                assert isinstance(result.value, dict)
                seen.add(str(result.value["text"]))
            if number >= 100 and {"trusted", CHANGED} <= seen:
                break
        (place / "enough").touch()
        assert {"trusted", CHANGED} <= seen
        assert "planted" not in seen
        # Its own text would have been seen, had it run.
        planted = await tools.call_tool("who", {}, ToolSources({"who": PLANTED.encode()}))
        assert isinstance(planted.value, dict)
        assert planted.value["text"] == "planted"


async def test_links_and_pipes_made_inside_are_no_tools(
    sandboxes: Sandboxes, settings: Settings
) -> None:
    sandbox = await sandboxes.start()
    await sandbox.workspace.make_dir(".jido_code/tools")
    await sandbox.workspace.write_bytes(".jido_code/tools/who.lua", TRUSTED.encode())
    trust(settings, sandbox.project)
    done = await sandbox.shell(
        "cd .jido_code/tools && mkfifo pipe.lua && ln -s who.lua link.lua && "
        "ln -s /etc/passwd out.lua && head -c 70000 /dev/zero > huge.lua && mkdir dir.lua"
    )
    assert done.exit_code == 0, done
    async with await Channel.connect(sandbox.socket_path) as channel:
        loaded = await load(SandboxTools(channel), settings.home, str(sandbox.project))
    assert set(loaded.texts) == {"who"}
    assert {refusal.name for refusal in loaded.refusals} == {"dir", "huge", "link", "out", "pipe"}
    # The same directory reached through a link counts for nothing either.
    place = sandbox.project / ".jido_code/tools"
    os.rename(place, sandbox.project / "elsewhere")
    place.symlink_to(sandbox.project / "elsewhere")
    async with await Channel.connect(sandbox.socket_path) as channel:
        loaded = await load(SandboxTools(channel), settings.home, str(sandbox.project))
    assert not loaded.texts
    assert loaded.refusals[0].reason == "the directory is a link or no directory"
