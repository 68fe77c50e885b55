"""The `jido` and `jido-tui` commands, one file each.

Owns printing, reading the terminal and exit codes; refuses rules about sessions,
which live in the services behind HTTP.
"""
