"""The tool server: one process per sandbox that does files, commands, jobs, search and Lua.

Standard library only, Python 3.9 or newer, and sparing with imports: the process is meant
to stay small, because the kernel's out-of-memory killer looks at size first.
"""
