"""What the client knows, and how it changes.

Owns the reducer over wire events and outcomes of calls. Refuses input, output, clocks and
Textual, so that recorded streams can test it.
"""
