"""The Lua environment of a sandbox: what a script may see, and the operations it may call."""
