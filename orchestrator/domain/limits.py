"""Every number that bounds the system, in one place.

Owns defaults; what a person may change is a field of `orchestrator.settings`.
"""

from __future__ import annotations

from typing import Final

MAX_SESSIONS: Final = 10
"""Live sessions at once, unless JIDO_MAX_SESSIONS says otherwise."""

MAX_NAME_CHARACTERS: Final = 50
"""Characters, not bytes, of a session's name."""

MAX_PATH_BYTES: Final = 4096
"""Bytes of a project path in UTF-8."""

MAX_PROMPT_BYTES: Final = 100_000
"""Bytes of a prompt in UTF-8."""

MAX_BODY_BYTES: Final = 1_048_576
"""Bytes of a request body, except for imports."""

MAX_IMPORT_BYTES: Final = 52_428_800
"""Bytes of an imported document."""

MAX_WRITE_BYTES: Final = 10_485_760
"""Bytes of one file written by a tool."""

MAX_READ_LINES: Final = 2000
"""Lines of one read."""

MAX_LINE_CHARACTERS: Final = 2000
"""Characters of one line of a read; the rest is cut and marked."""

MAX_SEARCH_HITS: Final = 100
"""Hits of one search."""

TOOL_TIMEOUT_S: Final = 30.0
"""Seconds of one tool call other than a command."""

COMMAND_TIMEOUT_S: Final = 120.0
"""Seconds of a command that names no timeout."""

MAX_COMMAND_TIMEOUT_S: Final = 3600.0
"""Seconds of a command at most."""

MAX_OUTPUT_BYTES: Final = 1_048_576
"""Bytes of a command's output kept: head and tail, the cut marked."""

MAX_SAVED_BYTES: Final = 52_428_800
"""Bytes of one saved session file."""

MAX_SAVED_SESSIONS: Final = 100
"""Saved sessions kept; a save beyond it is refused for new sessions."""

WARN_SAVED_SESSIONS: Final = 80
"""Saved sessions from which a warning is given."""

RESUMES_PER_MINUTE: Final = 5
"""Resumes of one saved session in 60 seconds, failures included."""

RESUMES_PER_MINUTE_ALL: Final = 20
"""Resumes of all saved sessions in 60 seconds, failures included."""

MAX_QUEUED_TURNS: Final = 20
"""Prompts that may wait in one session behind the running one."""

EVENTS_KEPT: Final = 20_000
"""Events kept per session for replay; older ones are trimmed, approximately."""

ALL_EVENTS_KEPT: Final = 20_000
"""Events kept in the stream over all sessions, approximately."""

DELTA_INTERVAL_S: Final = 0.03
"""Seconds over which text deltas are gathered into one event."""

LEASE_S: Final = 10.0
"""Seconds after which a turn whose worker went silent counts as interrupted."""

LEASE_RENEWAL_S: Final = 2.0
"""Seconds between renewals of a turn's lease."""

TURN_TIMEOUT_S: Final = 7200.0
"""Seconds of one turn at most; below the queue's own job timeout."""

IDEMPOTENCY_KEYS_KEPT: Final = 1000
"""Idempotency keys remembered per session; the oldest are dropped."""

MAX_RESTARTS: Final = 3
"""Restarts of a crashed sandbox within RESTART_WINDOW_S before it counts as failed."""

RESTART_WINDOW_S: Final = 60.0
"""Seconds in which MAX_RESTARTS are counted."""

KEEPALIVE_S: Final = 15.0
"""Seconds between comments on an idle event stream."""

START_TIMEOUT_S: Final = 60.0
"""Seconds a sandbox may take to become ready."""
