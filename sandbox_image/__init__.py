"""What runs inside a sandbox: the tool server and the Lua environment. Imports nothing of ours."""
