"""From items to rows of styled text.

Owns everything between the state and a `Strip`. Refuses Textual's widgets and events, so that
it is tested with plain calls.
"""
