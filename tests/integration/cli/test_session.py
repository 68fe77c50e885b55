"""`jido session …`, `jido doctor`, `jido trust`: what scripts read and change."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, one_line

pytestmark = [pytest.mark.bubblewrap, pytest.mark.xdist_group("cli")]


def test_a_session_from_birth_to_deletion(jido: CommandLine, project: Path, tmp_path: Path) -> None:
    run = ("run", "--project", str(project), "--prompt", "say Hi password=hunter2", "--keep")
    assert jido.run(*run).returncode == 0
    session = jido.json("session", "list")["items"][0]
    assert session["status"] == "ready"
    assert jido.json("session", "rename", session["id"][:8], "other")["name"] == "other"
    redacted = jido.run("session", "export", "other", "--redact")
    assert json.loads(redacted.stdout)["prompt_history"] == ["say Hi password=[redacted]"]
    assert "Look yourself" in one_line(redacted.stderr)
    document = tmp_path / "document.json"
    jido.json("session", "export", "other", str(document))
    assert json.loads(document.read_text())["format"] == "jido-session"
    assert document.stat().st_mode & 0o777 == 0o600
    jido.json("session", "close", "1")
    assert [item["id"] for item in jido.json("session", "saved")["items"]] == [session["id"]]
    again = jido.run("session", "export", "other", "--saved", "--redact")
    assert json.loads(again.stdout)["messages"] == json.loads(redacted.stdout)["messages"]
    assert jido.json("session", "resume", "1")["status"] == "ready"
    jido.json("session", "close", session["id"])
    assert jido.json("session", "delete", session["id"])["deleted"] is True
    assert jido.json("session", "saved")["items"] == []
    elsewhere = str(jido.project("elsewhere"))
    imported = jido.json("session", "import", str(document), "--project", elsewhere)
    assert (imported["name"], imported["project_path"]) == ("other", elsewhere)
    jido.json("session", "delete", imported["id"])


def test_lists_read_well_without_json(jido: CommandLine, project: Path) -> None:
    session = jido.json("session", "new", "--project", str(project), "--name", "plain")
    listing = jido.run("session", "list").stdout.decode()
    assert session["id"][:8] in listing
    assert "plain" in listing
    assert jido.run("session", "close", "plain").stdout.decode() == "closed plain\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("close", "nobody"), 1),
        (("delete", "nobody"), 1),
        (("resume", "7"), 1),
        (("new", "/usr/lib"), 2),
        (("new", ".", "--model", "nonsense"), 2),
        (("import", "/nowhere.json"), 2),
        (("rename", "nobody", "x"), 1),
    ],
)
def test_mistakes_are_one_line(jido: CommandLine, arguments: tuple[str, ...], code: int) -> None:
    done = jido.run("session", *arguments)
    assert (done.returncode, done.stdout) == (code, b"")
    assert one_line(done.stderr).startswith("jido: ")


def test_doctor_says_what_is_there(jido: CommandLine) -> None:
    answer = jido.json("doctor")
    states = {check["name"]: check["status"] for check in answer["checks"]}
    assert answer["ok"] is True
    assert states["runtime"] == states["redis"] == states["server"] == "ok"
    assert states["keys"] == "warning"
    assert "A session can run here." in jido.run("doctor").stdout.decode()


def test_doctor_finds_faults(jido: CommandLine) -> None:
    done = jido.run(
        "doctor",
        "--json",
        JIDO_RUNTIME="docker",
        DOCKER_HOST="unix:///nowhere.sock",
        JIDO_REDIS_URL="unix:///nowhere.sock",
        JIDO_URL="http://127.0.0.1:1",
    )
    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    for name in ("runtime", "redis", "server"):
        assert checks[name]["status"] == "fault"
        assert checks[name]["remedy"]
    assert checks["engine"]["status"] == "warning"


def test_trust_shows_and_records_exactly_this_content(jido: CommandLine, project: Path) -> None:
    nothing = jido.run("trust", str(project))
    assert nothing.returncode == 2
    content = b'{"approval": "ask"}\n'
    (project / ".jido_code").mkdir(exist_ok=True)
    (project / ".jido_code" / "settings.json").write_bytes(content)
    done = jido.run("trust", str(project))
    assert done.returncode == 0, done.stderr.decode()
    assert '"approval": "ask"' in done.stdout.decode()
    trusted = json.loads((jido.home / "trusted.json").read_text())
    assert trusted[str(project)] == hashlib.sha256(content).hexdigest()


def test_trust_follows_no_link_and_takes_no_nonsense(jido: CommandLine, project: Path) -> None:
    directory = project / ".jido_code"
    directory.mkdir(exist_ok=True)
    (directory / "settings.json").symlink_to("/etc/passwd")
    assert jido.run("trust", str(project)).returncode == 2
    (directory / "settings.json").unlink()
    (directory / "settings.json").write_text("{broken")
    assert "not valid JSON" in one_line(jido.run("trust", str(project)).stderr)
