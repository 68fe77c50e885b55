"""Commands: parsed, run against a server, told in outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.targets import AmbiguousTarget
from tests.support.scripted_api import TOKEN, Refusal, ScriptedApi
from tui.client import Api
from tui.commands import sessions
from tui.commands.catalogue import COMMANDS, KEYS
from tui.commands.complete import commands_for, files_for, wanted
from tui.commands.desk import Desk, find_session
from tui.commands.dispatch import dispatch
from tui.commands.parse import UsageError, is_command, nearest, parse, take_option
from tui.http import Http
from tui.state import outcomes as o
from tui.state.ages import age
from tui.state.items import Note, Notice, Patch, ShellRun
from tui.state.reduce import reduce
from tui.state.workspace import Workspace


class Table:
    """A desk whose outcomes are reduced at once."""

    def __init__(self, api: ScriptedApi) -> None:
        self.workspace = Workspace(project_path="/work/parser", home="/home/me")
        self.themes = ["dark"]
        self.left = 0
        self.desk = Desk(
            api=Api(Http(api.url, TOKEN)),
            workspace=self.workspace,
            tell=lambda outcome: reduce(self.workspace, outcome),
            now=lambda: 1_000_000.0,
            leave=self._leave,
            choose_theme=self.themes.append,
            theme=lambda: self.themes[-1],
        )

    def _leave(self) -> None:
        self.left += 1

    async def run(self, line: str) -> str:
        """Run a command; return what was told since, as one text."""
        before = self._said()
        await dispatch(self.desk, line)
        return "\n".join(self._said()[len(before) :])

    def _said(self) -> list[str]:
        active = self.workspace.active
        items = active.transcript.items if active else self.workspace.lobby.items
        return [i.text for i in items if isinstance(i, Note | Notice)]


@pytest.fixture
def table(api: ScriptedApi) -> Table:
    return Table(api)


@pytest.fixture
async def open_table(api: ScriptedApi, table: Table) -> Table:
    await table.run("/session new")
    return table


@pytest.mark.parametrize(
    ("line", "name", "arguments"),
    [
        ("/session new '/a b' --name \"x y\"", "session", ("new", "/a b", "--name", "x y")),
        ("/HELP", "help", ()),
        ("/shell echo 'it is'", "shell", ()),
        ("!ls -la", "shell", ()),
        ("/lua\nreturn 'a'", "lua", ()),
    ],
)
def test_parses_as_a_shell_does(line: str, name: str, arguments: tuple[str, ...]) -> None:
    parsed = parse(line)
    assert (parsed.name, parsed.arguments) == (name, arguments)


def test_parsing_at_its_edges() -> None:
    assert parse("!ls 'a b'").rest == "ls 'a b'"
    assert parse("/lua\nreturn 'a'").rest == "return 'a'"
    with pytest.raises(UsageError, match="not closed"):
        parse("/session rename 'half")
    assert is_command("/help")
    assert is_command("!x")
    assert not is_command("/etc/passwd is what?")
    assert not is_command("! ")
    assert not is_command("/ alone")
    assert nearest("sesion", ["session", "shell"]) == "session"
    assert nearest("xyz", ["session"]) == ""
    assert take_option(("-nN", "p"), "--name", "-n") == ("N", ("p",))
    assert take_option(("--name=N",), "--name", "-n") == ("N", ())
    with pytest.raises(UsageError):
        take_option(("--name",), "--name", "-n")


def test_completion_offers_what_fits() -> None:
    assert wanted("say /x") is None
    asked = wanted("/se")
    assert asked is not None
    assert [c.insert for c in commands_for(asked.word)] == ["/session "]
    assert [c.insert for c in commands_for("session cl")] == ["/session close "]
    asked = wanted("look at @src/a")
    assert asked is not None
    assert (asked.kind, asked.word, asked.start) == ("file", "src/a", 8)
    assert wanted("mail me@here") is None
    assert [c.insert for c in files_for(["a b", "c"])] == ['@"a b" ', "@c "]


async def test_sessions_open_switch_rename_and_close(api: ScriptedApi, table: Table) -> None:
    await table.run("/session new '~/my project' --name 'two words'")
    assert api.hits("POST", "/sessions")[0].body["name"] == "two words"
    await table.run("/session new sub")
    assert api.hits("POST", "/sessions")[1].body["project_path"] == "/work/parser/sub"
    assert "1:two words" in await table.run("/session list")
    await table.run("/session switch 1")
    assert table.workspace.active is table.workspace.order[0]
    await table.run("/session switch su")
    assert table.workspace.active is table.workspace.order[1]
    assert "Renamed: “a b”." in await table.run('/session rename "a b"')
    assert table.workspace.order[1].name == "a b"
    assert "“zzz” is no open session. Open: 1:two words, 2:a b" in await table.run(
        "/session switch zzz"
    )
    assert "nothing to save" in await table.run("/session save")
    second = table.workspace.order[1].id
    api.sessions[second] = api.sessions[second].model_copy(update={"turns": 1})
    assert "Saved: in /saved.json" in await table.run("/session save")
    await table.run("/session restart")
    assert table.workspace.order[1].status == "restarting"
    await table.run("/session close 'two words'")
    assert [s.name for s in table.workspace.order] == ["a b"]
    for line in (
        "/session",
        "/session nwe",
        "/session switch",
        "/session rename",
        "/session new a b",
    ):
        assert await table.run(line)
    table.workspace.order[0].turns = 1
    await table.run("/session close")
    assert table.workspace.question is not None
    assert table.workspace.question.text == "“a b” is the last one. Close it?"
    await table.run(table.workspace.question.command)
    assert "No session is open" in await table.run("/session close")
    assert "No session is open" in await table.run("/session list")


async def test_names_are_found_as_people_write_them(open_table: Table) -> None:
    workspace = open_table.workspace
    await open_table.run("/session new b --name Parade")
    await open_table.run("/session new c --name 7")
    assert find_session(workspace, "PARADE").name == "Parade"
    assert find_session(workspace, "7").name == "7"
    assert find_session(workspace, workspace.order[0].id[:8]) is workspace.order[0]
    with pytest.raises(AmbiguousTarget, match=r"may be any of 1:parser, 2:Parade\. Use"):
        find_session(workspace, "par")


async def test_saved_sessions(api: ScriptedApi, open_table: Table) -> None:
    table = open_table
    assert "No saved sessions" in await table.run("/resume")
    assert "There are no saved sessions" in await table.run("/resume clear")
    assert "There are no saved sessions" in await table.run("/resume 1")
    for name in ("one", "two", "three"):
        api.add_saved(f"/work/{name}", name)
    listed = await table.run("/resume")
    assert listed.index("three") < listed.index("one")
    assert "Use 1 to 3" in await table.run("/resume 9")
    await table.run("/resume delete 2")
    assert table.workspace.question is not None
    assert table.workspace.question.text == "Delete the saved session “two” for good?"
    assert [s.name for s in api.saved] == ["three", "two", "one"]
    said = await table.run(table.workspace.question.command)
    assert "Deleted: the saved session “two”" in said
    assert [s.name for s in api.saved] == ["three", "one"]
    await table.run("/resume 1")
    assert table.workspace.active is not None
    assert table.workspace.active.name == "three"
    await table.run("/resume clear")
    assert table.workspace.question is not None
    assert "Delete the one saved session" in table.workspace.question.text
    assert "Deleted: the one" in await table.run(table.workspace.question.command)
    assert api.saved == []
    assert "There are no saved sessions" in await table.run("/resume a b")
    assert "did you mean /resume delete" in await table.run("/resume delte 1")
    assert await table.run("/resume delete")


async def test_models_and_configuration(api: ScriptedApi, open_table: Table) -> None:
    table = open_table
    assert "offline:demo" in await table.run("/model")
    assert "openai:gpt-9" in await table.run("/model openai:gpt-9")
    assert table.workspace.order[0].model == "gpt-9"
    assert "temperature 0" in await table.run("/config temperature 0")
    assert table.workspace.order[0].temperature == 0.0
    await table.run("/config max_tokens default")
    assert api.hits("PATCH", table.workspace.active_id)[-1].body == {"config": {"max_tokens": None}}
    assert "takes a number" in await table.run("/config temperature warm")
    assert "Did you mean temperature" in await table.run("/config temprature 1")
    assert "/config [key value]" in await table.run("/config a b c")
    assert "server" in await table.run("/config")
    assert "openai" in await table.run("/provider")
    api.refusals["PATCH", table.workspace.active_id] = Refusal(422, "unknown_provider", "Unknown.")
    assert await table.run("/provider nobody") == "Unknown."


async def test_hands_in_the_sandbox(api: ScriptedApi, open_table: Table) -> None:
    table = open_table
    await table.run("/shell make all")
    await table.run("/lua return 6*7")
    await table.run("/lua --reset return 6*7")
    api.refusals["POST", "exec"] = Refusal(503, "sandbox_unavailable", "It is restarting.")
    await table.run("!ls")
    active = table.workspace.active
    assert active is not None
    runs = [i for i in active.transcript.items if isinstance(i, ShellRun)]
    assert [(r.exit_code, r.error) for r in runs] == [
        *[(0, "")] * 3,
        (None, "It is restarting."),
    ]
    assert runs[0].output == "ran make all\n"
    assert runs[1].output == "hi\n→ 42"
    assert runs[2].output == "fresh\n→ 42"
    assert "Nothing changed" in await table.run("/diff")
    files = [{"path": "a.py", "status": "modified"}]
    api.diff = {"files": files, "text": "--- a.py\n+++ a.py\n", "truncated": False}
    assert "1 changed: M a.py" in await table.run("/diff")
    assert isinstance(active.transcript.items[-1], Patch)
    api.diff["warnings"] = [{"code": "repository_made", "path": "x", "text": "x/.git was made."}]
    assert "1 changed" in await table.run("/diff")
    warned = [i for i in active.transcript.items if isinstance(i, Notice) and i.level == "warning"]
    assert "x/.git was made." in warned[-1].text
    assert "/lua SCRIPT" in await table.run("/lua")
    assert "/shell CMD" in await table.run("/shell")


async def test_the_projects_own_tools(api: ScriptedApi, open_table: Table) -> None:
    table = open_table
    assert "no tools of its own" in await table.run("/lua --tools")
    api.tools = [
        {"name": "count", "trusted": True, "description": "Counts\x1b[2J |.", "reason": None},
        {"name": "new", "trusted": False, "description": None, "reason": "Run `jido trust /p`."},
        {"name": "bad", "trusted": True, "description": None, "reason": "Mend it."},
    ]
    for line in ("/lua --tools", "/lua tools"):
        shown = await table.run(line)
        assert "| count | trusted | Counts" in shown
        assert "\\|." in shown
        assert "\x1b" not in shown
        assert "| new | not trusted | Run \\`jido trust /p\\`." in shown
        assert "| bad | not usable | Mend it. |" in shown
    active = table.workspace.active
    assert active is not None
    assert not [i for i in active.transcript.items if isinstance(i, ShellRun)]


async def test_the_client_itself(api: ScriptedApi, open_table: Table, tmp_path: Path) -> None:
    table = open_table
    assert "| session |" in await table.run("/cost")
    await table.run("/theme")
    await table.run("/theme high-contrast")
    assert table.themes == ["dark", "light", "high_contrast"]
    assert "Themes:" in await table.run("/theme drak")
    target = tmp_path / "out file.json"
    assert "Exported" in await table.run(f"/export '{target}'")
    assert json.loads(target.read_text())["format"] == "jido-session"
    assert target.stat().st_mode & 0o077 == 0
    assert "exists already" in await table.run(f"/export '{target}'")
    assert "cannot be written" in await table.run(f"/export '{tmp_path}/no/such/file'")
    assert "Alt" in await table.run("/help")
    assert "Did you mean /session?" in await table.run("/sesion list")
    assert "There is no command /zzzzz." in await table.run("/zzzzz")
    await table.run("/quit")
    assert table.left == 1


async def test_help_lists_exactly_what_works(open_table: Table) -> None:
    shown = (await open_table.run("/help")).replace("\\", "")
    for command in COMMANDS:
        assert f"| /{command.name}" in shown
        for form in command.arguments.split(" | "):
            assert form in shown
        assert f"There is no command /{command.name}." not in await open_table.run(
            f"/{command.name}x"
        )
    for name in ("sessions", "newfoo", "models"):
        assert f"There is no command /{name}." in await open_table.run(f"/{name}")
    assert [form.split()[0] for form in sessions.FORMS] == list(sessions.SUBCOMMANDS)
    for keys, _ in KEYS:
        assert keys in shown


async def test_refusals_point_the_way(api: ScriptedApi, open_table: Table) -> None:
    table = open_table
    first = table.workspace.active_id
    await table.run("/session new other")
    opened = Refusal(409, "project_already_open", "Open.", {"session_id": first})
    api.refusals["POST", "sessions"] = opened
    await table.run("/session new")
    assert table.workspace.active_id == first
    active = table.workspace.active
    assert active is not None
    assert any(isinstance(i, Notice) and i.text == "Open." for i in active.transcript.items)
    api.refusals["POST", "sessions"] = Refusal(409, "session_limit_reached", "Ten run.")
    assert await table.run("/session new more") == "Ten run."
    await api.stop()
    assert "No server answers" in await table.run("/diff")


def test_ages_are_said_as_people_do() -> None:
    seconds = [5, 300, 7200, 100_000, 400_000]
    assert [age(s, 0.0) for s in seconds] == [
        "just now",
        "5 min ago",
        "2 h ago",
        "yesterday",
        "4 days ago",
    ]
    assert age(9e6, 86_400.0 * 2).startswith("1970-01-0")


def test_outcomes_about_unknown_sessions_change_nothing() -> None:
    workspace = Workspace()
    unknown: list[o.Outcome] = [
        o.Streamed("x", []),
        o.SessionChanged({"id": "x"}),
        o.SessionGone("x"),
        o.HistoryLoaded("x", []),
        o.TasksLoaded("x", []),
        o.LinkChanged("x", "live"),
        o.Focused("x"),
        o.PromptAccepted("x", "k", {}),
        o.PromptRefused("x", "k", ""),
        o.Cancelling("x"),
        o.Answering("x", "c"),
        o.AnswerFailed("x", "c", ""),
        o.RunStarted("x", "r", "", 0.0),
        o.RunOutput("x", "r", ""),
        o.RunEnded("x", "r", 0, "", 0.0),
        o.Shown("x", Notice()),
        o.Folded("x", Notice(), now_open=True),
        o.SessionOpened({}),
    ]
    for outcome in unknown:
        reduce(workspace, outcome)
    assert not workspace.sessions
