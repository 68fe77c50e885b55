"""The offline model's language, and how it goes about a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agent.offline.language import MAX_COMMANDS, MAX_SLEEP_S, parse
from orchestrator.domain.message import Todo
from tests.unit.agent.stage import Play


@pytest.mark.parametrize(
    ("line", "tool", "arguments"),
    [
        ("read a b.txt", "read_file", {"path": "a b.txt"}),
        ('read "a b.txt"', "read_file", {"path": "a b.txt"}),
        ("list", "list_files", {}),
        ("list src", "list_files", {"path": "src"}),
        ("grep def main", "grep", {"pattern": "def main"}),
        ("run ls | wc -l", "run_command", {"command": "ls | wc -l"}),
        ("shell cd src", "shell", {"command": "cd src"}),
        ("start make serve", "start_command", {"command": "make serve"}),
        ("check", "check_command", {}),
        ("check job-1", "check_command", {"command_id": "job-1"}),
        ("check job-12 2.5", "check_command", {"command_id": "job-12", "wait_s": 2.5}),
        (
            "check job-1 9 is up",
            "check_command",
            {"command_id": "job-1", "wait_s": 9.0, "until": "is up"},
        ),
        ("send job-1 a  b", "send_input", {"command_id": "job-1", "text": "a  b\n"}),
        ("send job-1", "send_input", {"command_id": "job-1", "text": "\n"}),
        ("stop job-1", "stop_command", {"command_id": "job-1"}),
        ("lua return 1 + 1", "lua", {"script": "return 1 + 1"}),
        ("write a.txt hello you", "write_file", {"path": "a.txt", "content": "hello you\n"}),
        (
            'edit a.txt "two words" "x\\ny"',
            "edit_file",
            {"path": "a.txt", "old_text": "two words", "new_text": "x\ny"},
        ),
        ("todo a; b ;", "write_plan", {"items": [{"content": "a"}, {"content": "b"}]}),
    ],
)
def test_commands(line: str, tool: str, arguments: dict[str, object]) -> None:
    (step,) = parse(line)
    assert (step.kind, step.tool, step.arguments) == ("tool", tool, arguments)


def test_several_lines_with_here_documents_and_comments() -> None:
    prompt = "# first\n\nwrite a.txt <<END\none\n  two\nEND\nlua <<'EOF'\nreturn 1\nEOF\nsay bye"
    write, lua, say = parse(prompt)
    assert write.arguments == {"path": "a.txt", "content": "one\n  two\n"}
    assert lua.arguments == {"script": "return 1\n"}
    assert (say.kind, say.text) == ("say", "bye")


@pytest.mark.parametrize(
    "prompt",
    [
        "", "hello", "read", "grep", "run", "lua", "todo", "write", "write a.txt", "say", "think",
        "start", "check it", "check job-1 soon", "send", "send it off", "stop", "stop it",
        "stop job-1 now", "edit a.txt one", 'edit a.txt "open', "sleep soon",
        "say hi\nand more", "write <<END",
    ],
)  # fmt: skip
def test_anything_else_is_no_command(prompt: str) -> None:
    assert parse(prompt) == []


def test_bounds() -> None:
    assert parse("sleep 99999999")[0].seconds == MAX_SLEEP_S
    assert parse("sleep -1")[0].seconds == 0
    assert parse("say x\n" * (MAX_COMMANDS + 1)) == []


async def test_failures_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    stage = Play(tmp_path)
    outcome = await stage.prompt("lua fail\nthink about it\nwrite deep/down/a.txt x\nsay end")
    assert outcome.status == "completed"
    assert [data["status"] for data in stage.sink.of("tool.result")] == ["timeout", "ok"]
    assert "lua_timeout" in stage.sink.of("tool.result")[0]["text"]
    assert stage.sink.of("reasoning.delta")[0]["text"] == "about it"
    assert "1 of 2 succeeded" in stage.sink.text()
    assert (tmp_path / "deep/down/a.txt").read_text() == "x\n"


async def test_a_project_without_jobs_has_no_tools_for_them(tmp_path: Path) -> None:
    for line in ("start true", "check", "stop job-1"):
        stage = Play(tmp_path)
        assert (await stage.prompt(line)).status == "completed"
        assert stage.sink.of("tool.call") == []
        assert "There is no tool" in stage.sink.text()


async def test_the_task_list_reaches_the_sink(tmp_path: Path) -> None:
    stage = Play(tmp_path, todos=[Todo(id="old", content="old", status="completed")])
    await stage.prompt("todo one; two\nsay done")
    (todos,) = stage.sink.todo_lists
    assert [todo.content for todo in todos] == ["one", "two"]


async def test_project_instructions_are_read_and_nothing_is_touched_by_talk(
    tmp_path: Path,
) -> None:
    (tmp_path / "AGENTS.md").write_text("Be brief.")
    stage = Play(tmp_path)
    outcome = await stage.prompt("what can you do?")
    assert outcome.usage.cost_usd == 0.0
    assert "offline model" in stage.sink.text()
    assert [path.name for path in tmp_path.iterdir()] == ["AGENTS.md"]
