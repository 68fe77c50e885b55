"""The terminal client: one tab per session, drawn from a state that knows no terminal.

Owns what a person sees and types. Refuses everything else of the system: it knows the
server only by HTTP, and of the orchestrator only the shapes both ends agree on.
"""
