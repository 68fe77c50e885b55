"""Runs the same Lua scripts in process where the machine has no `lua5.4`.

`python lupa_runner.py PRELUDE`: one interpreter, one process, the same standard input and
output. What a script may see is decided by the prelude alone; Python is not in its reach.
"""

from __future__ import annotations

import os
import sys


def main(words: list[str]) -> int:
    """Execute the prelude; returns only when its standard input has ended."""
    from lupa.lua54 import LuaRuntime

    here = os.path.dirname(os.path.abspath(__file__))
    prelude = words[0] if words else os.path.join(here, "prelude.lua")
    runtime = LuaRuntime(register_eval=False, register_builtins=False, encoding=None)
    with open(prelude, "rb") as file:
        source = file.read()
    runtime.execute(b"arg = {}; python = nil")
    runtime.globals()[b"arg"][0] = os.fsencode(prelude)
    runtime.execute(source)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
