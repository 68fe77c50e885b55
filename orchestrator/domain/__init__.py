"""Rules about sessions, turns, messages and limits.

Owns meaning: states and their legal transitions, validation, the error tree.
Refuses input, output, clocks and every library but pydantic.
"""
