"""The embedded stack: Valkey, api, worker and supervisor as children of one process.

Owns starting, watching and stopping them, who still uses them, and the home directory
they share. Refuses everything they do: the children are the same processes that
Compose and a cluster run.
"""
