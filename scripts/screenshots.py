"""Draws the pictures of the README from the running program.

Starts `jido-tui` in a real terminal (tmux) on copies of the example, with a scripted model
server, drives it by key strokes and turns what stands on the screen into SVG.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.support.model_server import Call, ModelServer, Reply, Rule, Script
from tests.support.terminal import Terminal

REPOSITORY: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = REPOSITORY / "docs/images"
COLUMNS: Final = 110
ROWS: Final = 27
THEME: Final = TerminalTheme(
    (14, 17, 22),
    (208, 212, 218),
    [
        *((14, 17, 22), (224, 108, 117), (126, 192, 138), (215, 175, 95)),
        *((122, 162, 247), (187, 154, 247), (125, 207, 255), (208, 212, 218)),
    ],
)

ORDINARY: Final = 1000
"""User and group that own the projects where root draws: a project of root is told of."""
REQUEST: Final = "Let the greeter speak Spanish, and keep the tests true."
CHANGE: Final = {
    "path": "greeter.py",
    "old_text": "Hello, ",
    "new_text": "¡Hola, ",
}
TEST_CHANGE: Final = {
    "path": "tests/test_greeter.py",
    "old_text": "Hello, ",
    "new_text": "¡Hola, ",
}
SUMMARY: Final = """The greeter speaks Spanish now, and its test agrees.

- `greeter.py`: the greeting starts with **¡Hola**
- `tests/test_greeter.py`: expects the same words

```python
def greet(name: str) -> str:
    return f"¡Hola, {name}!"
```

Only these two files changed; the tests ran inside the sandbox."""


def script() -> Script:
    """What the model says and asks for."""
    test = {"command": "python3 -m unittest discover tests"}
    build = {"command": "for i in $(seq 60); do echo building $i; sleep 1; done"}
    return Script(
        rules=[
            Rule(match="build", replies=[Reply(calls=[Call(name="run_command", arguments=build)])])
        ],
        replies=[
            Reply(
                text="I look at the greeter first.",
                calls=[Call(name="read_file", arguments={"path": "greeter.py"})],
            ),
            Reply(
                calls=[
                    Call(name="edit_file", arguments=CHANGE),
                    Call(name="edit_file", arguments=TEST_CHANGE),
                ]
            ),
            Reply(calls=[Call(name="run_command", arguments=test)]),
            Reply(text=SUMMARY),
        ],
    )


def main() -> int:
    """Draw every picture; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="jido-screenshots-") as name:
        home = Path(name)
        for project in "greeter", "harbour":
            _lay_out(home / "src" / project)
        terminal = Terminal(COLUMNS, ROWS)
        try:
            asyncio.run(_with_model(terminal, home))
        finally:
            terminal.stop()
    return 0


def _lay_out(project: Path) -> None:
    """Copy the example as an ordinary person's, without the tool that nobody has trusted here."""
    bare = shutil.ignore_patterns(".jido_code", "__pycache__")
    shutil.copytree(REPOSITORY / "examples/greeter", project, ignore=bare)
    if os.geteuid() == 0:
        for directory in project.parents[1], project.parents[0]:
            directory.chmod(0o755)
        for path in project, *project.rglob("*"):
            os.chown(path, ORDINARY, ORDINARY)


async def _with_model(terminal: Terminal, home: Path) -> None:
    async with ModelServer.running(script()) as model:
        await asyncio.to_thread(_draw, terminal, home, model.base_url)


def _draw(terminal: Terminal, home: Path, model_url: str) -> None:
    program = "import sys; from orchestrator.cli.tui import main; sys.exit(main())"
    environment = {
        "HOME": str(home),
        "COLORTERM": "truecolor",
        "JIDO_MODEL": "openai:scripted",
        "JIDO_OPENAI_BASE_URL": model_url,
        "JIDO_RUNTIME": os.environ.get("JIDO_RUNTIME", "auto"),
    }
    terminal.start([sys.executable, "-c", program, str(home / "src/greeter")], environment)
    terminal.sees("1:greeter", "Sandbox ready", seconds=90)
    terminal.send(f"/session new {home}/src/harbour\r")
    terminal.sees("2:harbour", "Sandbox ready", seconds=60)
    terminal.send("build it\r")
    terminal.sees("building 2")
    terminal.send("\x1b1")
    terminal.sees("only this directory")
    terminal.send(f"{REQUEST}\r")
    terminal.sees("done · openai:scripted")
    _save(terminal, "client")
    terminal.send("\x1b2")
    terminal.sees("building 3")
    terminal.send("\x1b")
    terminal.send("\x11")
    terminal.sees("code", seconds=60)


def _save(terminal: Terminal, name: str) -> None:
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    screen = terminal.screen(colours=True).rstrip("\n")
    for line in screen.split("\n"):
        console.print(Text.from_ansi(line, no_wrap=True, overflow="crop"), soft_wrap=True)
    drawing = console.export_svg(title="jido-tui", theme=THEME, unique_id=name)
    # A picture in a repository fetches nothing: the reader's own monospace font will do.
    drawing = re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)
    IMAGES.mkdir(parents=True, exist_ok=True)
    (IMAGES / f"{name}.svg").write_text(drawing)


if __name__ == "__main__":
    sys.exit(main())
