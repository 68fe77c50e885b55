"""Commands, Lua, files and changes over HTTP, on the real tool server."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.services.changes import MAX_CHARACTERS, read_changes
from tests.integration.api.answers import assert_refused, frames
from tests.integration.api.conftest import Opened


async def execute(
    client: httpx.AsyncClient, session: dict[str, Any], **body: Any
) -> dict[str, Any]:
    """Run a command to its end."""
    url = f"/v1/sessions/{session['id']}/exec"
    done: dict[str, Any] = {"stdout": b"", "stderr": b""}
    async with client.stream("POST", url, json=body) as answer:
        assert answer.status_code == 200
        async for frame in frames(answer):
            data = json.loads(frame.data)
            if frame.event in ("stdout", "stderr"):
                done[frame.event] += base64.b64decode(data["data"])
            else:
                done[frame.event] = data
    return done


async def test_a_command_streams_its_bytes_and_its_exit(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    session = await opened()
    line = r"printf 'out\377\000'; printf err >&2; exit 7"
    done = await execute(client, session, command=line)
    assert (done["stdout"], done["stderr"]) == (b"out\xff\x00", b"err")
    assert done["exit"] == {"code": 7, "timed_out": False}
    done = await execute(client, session, command=["cat", "README.md"])
    assert (done["stdout"], done["exit"]["code"]) == (b"This is alpha.\n", 0)


async def test_output_arrives_while_the_command_runs(
    client: httpx.AsyncClient, opened: Opened, base: Path
) -> None:
    session = await opened()
    line = "echo first; while [ ! -e go ]; do sleep 0.02; done; echo second"
    url = f"/v1/sessions/{session['id']}/exec"
    async with client.stream("POST", url, json={"command": line}) as answer:
        stream = frames(answer)
        async with asyncio.timeout(10):
            first = await anext(stream)
            assert base64.b64decode(json.loads(first.data)["data"]) == b"first\n"
            (base / "projects" / "alpha" / "go").touch()
            assert [frame.event async for frame in stream] == ["stdout", "exit"]


async def test_much_output_arrives_whole(client: httpx.AsyncClient, opened: Opened) -> None:
    session = await opened()
    done = await execute(client, session, command="head -c 3000000 /dev/zero")
    assert (len(done["stdout"]), done["exit"]["code"]) == (3_000_000, 0)


async def test_a_command_that_takes_too_long_is_ended(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    session = await opened()
    done = await execute(client, session, command="echo begun; sleep 60", timeout_s=0.5)
    assert done["exit"] == {"code": 124, "timed_out": True}
    assert done["stdout"] == b"begun\n"


async def test_a_command_that_does_not_exist_is_127(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    session = await opened()
    done = await execute(client, session, command=["no-such-program-here"])
    assert done["exit"]["code"] == 127
    assert done["stderr"]


async def test_hanging_up_ends_the_command(
    client: httpx.AsyncClient, opened: Opened, base: Path
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}/exec"
    line = "echo $$; while :; do date +%N > beat; sleep 0.02; done"
    async with client.stream("POST", url, json={"command": line}) as answer:
        await anext(frames(answer))
    beat = base / "projects" / "alpha" / "beat"
    async with asyncio.timeout(10):
        while True:
            seen = beat.read_bytes()
            await asyncio.sleep(0.3)
            if beat.read_bytes() == seen:
                break
    await asyncio.sleep(0.3)
    assert beat.read_bytes() == seen


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"command": ""}, "invalid_argument"),
        ({"command": []}, "invalid_argument"),
        ({"command": ["a\0b"]}, "invalid_argument"),
        ({"command": "true", "timeout_s": 0}, "invalid_request"),
        ({"command": "true", "timeout_s": 3601}, "invalid_request"),
        ({"command": 7}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
async def test_commands_are_refused_by_kind(
    client: httpx.AsyncClient, opened: Opened, body: Any, code: str
) -> None:
    session = await opened()
    assert_refused(await client.post(f"/v1/sessions/{session['id']}/exec", json=body), 422, code)


async def test_a_script_answers_with_value_output_and_its_own_failure(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}/lua"
    done = (await client.post(url, json={"script": "print('hi') return 6 * 7"})).json()
    assert (done["ok"], done["value"], done["output"], done["error"]) == (True, 42, "hi\n", None)
    assert done["elapsed_ms"] >= 0
    failed = (await client.post(url, json={"script": "error('no')"})).json()
    assert (failed["ok"], failed["error"]["code"]) == (False, "lua_error")
    assert "no" in failed["error"]["message"]
    await client.post(url, json={"script": "kept = 'yes'"})
    assert (await client.post(url, json={"script": "kept"})).json()["value"] == "yes"
    fresh = (await client.post(url, json={"script": "kept", "reset": True})).json()
    assert (fresh["ok"], fresh["value"]) == (True, None)
    script = "return jido.read_file('README.md')"
    assert "alpha" in (await client.post(url, json={"script": script})).text


async def test_files_are_found_by_a_few_letters(
    client: httpx.AsyncClient, opened: Opened, base: Path
) -> None:
    session = await opened()
    (base / "projects" / "alpha" / "source").mkdir()
    (base / "projects" / "alpha" / "source" / "parser.py").write_text("")
    url = f"/v1/sessions/{session['id']}/files"
    hits = (await client.get(url, params={"query": "prs"})).json()["items"]
    assert [hit["path"] for hit in hits] == ["source/parser.py"]
    everything = (await client.get(url)).json()["items"]
    assert {"README.md", "source/parser.py"} <= {hit["path"] for hit in everything}


async def test_changes_are_those_of_the_repository(
    client: httpx.AsyncClient, opened: Opened, base: Path
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}/diff"
    nothing = {"files": [], "text": "", "truncated": False, "warnings": []}
    assert (await client.get(url)).json() == nothing
    path = base / "projects" / "alpha"
    git = "git -c user.name=n -c user.email=e@e"
    done = await execute(
        client, session, command=f"{git} init -q && {git} add . && {git} commit -qm first"
    )
    assert done["exit"]["code"] == 0, done
    (path / "README.md").write_text("changed\n")
    (path / "new.txt").write_text("new\n")
    changes = (await client.get(url)).json()
    assert {(file["path"], file["status"]) for file in changes["files"]} == {
        ("README.md", "modified"),
        ("new.txt", "added"),
    }
    assert "+changed" in changes["text"]
    (warning,) = changes["warnings"]
    assert (warning["code"], warning["path"]) == ("repository_made", ".git")


def test_headers_of_a_diff_are_read_and_nothing_else() -> None:
    text = (
        "diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\n"
        "rename to new.py\n@@ -1 +1 @@\n-new file mode 1\n+deleted file mode 1\n"
        "diff --git a/gone b/gone\ndeleted file mode 100644\n"
        "diff --git a/fresh b/fresh\nnew file mode 100644\nnew file: loose\n"
    )
    assert [(file.path, file.status) for file in read_changes(text).files] == [
        ("new.py", "renamed"),
        ("gone", "deleted"),
        ("fresh", "added"),
        ("loose", "added"),
    ]
    assert read_changes("x" * (MAX_CHARACTERS + 1)).truncated
