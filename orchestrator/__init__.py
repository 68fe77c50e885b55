"""Jido Code: an orchestrator for agentic coding sessions.

Owns the version number; everything else lives in the rooms below. Dependencies
between them point downward only (`[tool.importlinter]` in pyproject.toml).
"""

__version__ = "0.1.0"
