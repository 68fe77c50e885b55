"""What the operations of one tool server share: the project, the environment, what lives on."""

from __future__ import annotations

import os

from sandbox_image.toolserver.activity import Activity
from sandbox_image.toolserver.disk import DiskWatch
from sandbox_image.toolserver.environment import (
    PRIVATE_DIRECTORY,
    command_environment,
)
from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.interpreter import Interpreter, InterpreterLimits
from sandbox_image.toolserver.jobs import JobTable
from sandbox_image.toolserver.limits import Allowance
from sandbox_image.toolserver.processes import ProgramMissing, find_program
from sandbox_image.toolserver.roots import Directory, Root
from sandbox_image.toolserver.seen import SeenFiles
from sandbox_image.toolserver.shells import ShellTable
from sandbox_image.toolserver.tree import make_directory
from sandbox_image.toolserver.watch import LimitWatch


class Services:
    """Built once at start and handed to every operation."""

    def __init__(
        self,
        root: Root,
        own: dict[str, str],
        lua: list[str],
        limits: InterpreterLimits,
        allowance: Allowance,
    ) -> None:
        """Take the open root, the server's own variables and the interpreter's command."""
        self.root = root
        self.environment = command_environment(root.path, own)
        self.seen = SeenFiles()
        self.watch = LimitWatch(allowance)
        self.jobs = JobTable(self.watch)
        self._lua = lua
        self._limits = limits
        self.interpreter = self.new_interpreter()
        self.tool_interpreter = self.new_interpreter()
        """Runs project tools: what scripts do to their globals does not reach them."""
        self.shells = ShellTable(self.environment, Directory(root.path))
        self.ripgrep = self._find("rg")
        self.disk = DiskWatch(root.path, allowance)
        self.watch.disk = self.disk.describe
        self.activity = Activity(self.jobs)

    def new_interpreter(self, **limits: int) -> Interpreter:
        """An interpreter that starts at its first use; `limits` replace those of scripts."""
        wanted = InterpreterLimits(**{**vars(self._limits), **limits})
        return Interpreter(self._lua, self.environment, self.root.path, wanted)

    def _find(self, program: str) -> str | None:
        try:
            return find_program(program, self.environment["PATH"], "/")
        except ProgramMissing:
            return None

    def prepare(self) -> None:
        """Watch the limits; create HOME and TMPDIR where missing, unless all is read-only."""
        self.watch.start(lambda: self.activity.busy)
        self.disk.start(lambda: self.activity.busy, self._stop_for_disk, self.watch.tell)
        if self.root.contains_text(self.environment["HOME"]):
            try:
                for name in ("HOME", "TMPDIR"):
                    if self.root.contains_text(self.environment[name]):
                        make_directory(self.root, self.environment[name])
                self._ignore_private()
            except (ToolFailure, OSError):
                return

    def _stop_for_disk(self) -> None:
        self.activity.stop_all("disk_limit", self.interpreter.marker)

    def _ignore_private(self) -> None:
        with self.root.locate(f"{PRIVATE_DIRECTORY}/.gitignore", follow=False) as place:
            handle = place.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                os.write(handle, b"*\n")
            finally:
                os.close(handle)

    def close(self) -> None:
        """End everything that outlives a request."""
        self.jobs.close()
        self.shells.close()
        self.interpreter.close()
        self.tool_interpreter.close()
