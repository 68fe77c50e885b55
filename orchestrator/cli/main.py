"""`jido`: the list of commands, and the one place where a failure becomes an exit code.

Owns nothing else: each command has a file of its own, which imports what it needs
only when it runs, so that `jido --help` answers at once.
"""

from __future__ import annotations

import sys

import typer

from orchestrator.cli import (
    doctor,
    execute,
    health,
    lua,
    processes,
    run,
    session,
    stack,
    trust,
)
from orchestrator.cli.failures import (
    CANCELLED,
    OWN_FAILURE,
    USAGE,
    code_of,
    complain,
    explain,
    unexpected,
)
from orchestrator.domain.errors import JidoError

app = typer.Typer(
    name="jido",
    help="Agentic coding sessions, each in a sandbox of its own. `jido-tui` is the client.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("run")(run.run)
app.command("exec", context_settings={"allow_interspersed_args": False})(execute.execute)
app.command("lua")(lua.lua)
app.add_typer(session.app, name="session")
app.command("doctor")(doctor.doctor)
app.command("trust")(trust.trust)
app.command("serve")(processes.serve)
app.command("work")(processes.work)
app.command("supervise")(processes.supervise)
app.command("health", hidden=True)(health.health)


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> int:
    """Run `arguments` and return the exit code; every failure ends as one line."""
    own = OWN_FAILURE if arguments[:1] in (["exec"], ["lua"]) else None
    try:
        result = app(args=arguments, prog_name="jido", standalone_mode=False)
    except JidoError as error:
        complain(explain(error))
        return own or code_of(error)
    except (KeyboardInterrupt, typer.Abort):
        return CANCELLED
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:  # noqa: BLE001 - the last line of defence shows no traceback
        message = getattr(error, "format_message", None)
        if message is None:
            complain(unexpected(error))
            return own or 1
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message())
            return USAGE
        said = str(message()).replace(": Value error, ", ": ").rstrip()
        said += "" if said.endswith((".", "?")) else "."
        complain(f"{said} See `jido {_command(arguments)}--help`.")
        return own or USAGE
    return result if isinstance(result, int) else 0


def _command(arguments: list[str]) -> str:
    known = next((word for word in arguments if not word.startswith("-")), "")
    return f"{known} " if known in _names() else ""


def _names() -> set[str]:
    commands = {str(command.name) for command in app.registered_commands}
    return commands | {str(group.name) for group in app.registered_groups}


def _reader_gone() -> int:
    """End quietly when whoever reads our output has left."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


if __name__ == "__main__":
    main()
