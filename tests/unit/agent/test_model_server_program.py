"""The scripted model server as a program, as other processes use it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.support.model_server import Call, Reply, Rule, Script
from tests.unit.agent.stage import Play


async def test_a_turn_against_the_program(tmp_path: Path) -> None:
    rule = Rule(
        match="particular",
        replies=[
            Reply(calls=[Call(name="write_plan", arguments={"items": [{"content": "one"}]})]),
            Reply(text="planned"),
        ],
    )
    script, record = tmp_path / "script.json", tmp_path / "record.jsonl"
    script.write_text(Script(rules=[rule]).model_dump_json())
    command = [sys.executable, "-m", "tests.support.model_server", "--script", str(script)]
    process = await asyncio.create_subprocess_exec(
        *command, "--record", str(record), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[1]
        stage = Play(tmp_path, "openai:scripted", openai_base_url=url)
        assert (await stage.prompt("a particular thing")).status == "completed"
        assert stage.sink.text() == "planned"
        assert (await stage.prompt("anything")).status == "completed"
        assert "Scripted answer." in stage.sink.text()
    finally:
        process.terminate()
        await process.wait()
    assert len([json.loads(line) for line in record.read_text().splitlines()]) == 3
