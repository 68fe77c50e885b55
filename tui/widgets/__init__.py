"""What draws the state: one idea per file, its style sheet beside it.

Owns pixels. A widget reads state and posts messages; it changes nothing itself.
"""
