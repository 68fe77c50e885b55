"""Where the prompt of `jido run` comes from.

Owns that exactly one source is given and that it is read within its limit, before
anything is started.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.cli.failures import UsageError
from orchestrator.domain.limits import MAX_PROMPT_BYTES
from orchestrator.domain.turn import validate_prompt


def read_prompt(prompt: str | None, prompt_file: Path | None, source: str | None) -> str:
    """Return the prompt; `source` is the positional argument, of which only `-` has a meaning.

    Raises UsageError, PromptEmpty or PromptTooLong.
    """
    if source not in {None, "-"}:
        raise UsageError(f"“{str(source)[:40]}” is not understood here. Write --prompt TEXT.")
    if sum(given is not None for given in (prompt, prompt_file, source)) != 1:
        raise UsageError("Give the prompt exactly once: --prompt TEXT, --prompt-file FILE or -.")
    if prompt is not None:
        return validate_prompt(prompt)
    raw = _read_standard_input() if prompt_file is None else _read_file(prompt_file)
    if len(raw) > MAX_PROMPT_BYTES:
        raise UsageError(
            f"The prompt has more than {MAX_PROMPT_BYTES:,} bytes. Put long material into a file "
            "of the project and name the file."
        )
    try:
        return validate_prompt(raw.decode())
    except UnicodeDecodeError as error:
        raise UsageError("The prompt is not text in UTF-8.") from error


def _read_standard_input() -> bytes:
    return sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1)


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PROMPT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
