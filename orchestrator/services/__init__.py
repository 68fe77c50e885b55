"""Use cases, one story per file.

Owns the order of steps; refuses transport and library types.
"""
