"""A protected file that is replaced from outside is told to the session."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from orchestrator.supervisor.protection_watch import PROTECTED, identities, replaced
from tests.integration.supervisor.stage import Stage
from tests.integration.supervisor.test_limits import shell, told

PLANT = "echo '[core]' > .git/config.new && mv .git/config.new .git/config"
APPEND = "echo '# planted' >> .git/config"


def git(project: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(project), *words], check=True, capture_output=True)


async def test_replacing_the_configuration_outside_is_told(stage: Stage) -> None:
    await stage.start()
    project = stage.project("one")
    git(project, "init", "--quiet")
    session = await stage.reaches((await stage.claim(project)).id, "ready")
    # While nobody replaces it, nothing inside can, and nothing is told.
    assert (await shell(stage, session.id, PLANT))[0] != 0
    assert (await shell(stage, session.id, APPEND))[0] != 0
    git(project, "status")
    assert await stage.types(session.id) == ["session.created", "session.ready"]

    async def is_told() -> bool:
        # Once more each time: the first may come before the supervisor's first look.
        git(project, "config", "user.name", f"Somebody at {time.monotonic()}")
        return "notice" in await stage.types(session.id)

    await stage.until(is_told, "a notice")
    event = (await told(stage, session.id, "notice", "protection_lost"))[0]
    assert event.data["level"] == "warning"
    assert ".git/config" in event.data["text"]
    assert "/session restart" in event.data["text"]


def test_identities_tell_what_was_replaced(tmp_path: Path) -> None:
    (tmp_path / ".git" / "hooks").mkdir(parents=True)
    (tmp_path / ".git" / "config").write_text("one")
    before = identities(str(tmp_path))
    assert set(before) == {".git", ".git/hooks", ".git/config"} < set(PROTECTED)
    (tmp_path / ".git" / "config").write_text("written in place")
    (tmp_path / ".git" / "commondir").write_text(".")
    assert replaced(before, identities(str(tmp_path))) == []
    (tmp_path / "new").write_text("two")
    os.rename(tmp_path / "new", tmp_path / ".git" / "config")
    (tmp_path / ".git" / "hooks").rmdir()
    assert replaced(before, identities(str(tmp_path))) == [".git/hooks", ".git/config"]
