"""What can be wrong with the file of a saved session, kind by kind.

Owns a code for each kind, so that a list can say which. Whoever knows only
`SavedSessionUnreadable` catches all of them.
"""

from __future__ import annotations

from orchestrator.domain.errors import SavedSessionUnreadable


class SavedSessionTruncated(SavedSessionUnreadable):
    """The file ends before its time."""

    code = "saved_session_truncated"


class SavedSessionSymlink(SavedSessionUnreadable):
    """A symbolic link is where the file should be."""

    code = "saved_session_symlink"


class SavedSessionHardLink(SavedSessionUnreadable):
    """The file has a second name, through which somebody else may change it."""

    code = "saved_session_hard_link"


class SavedSessionDirectory(SavedSessionUnreadable):
    """A directory is where the file should be."""

    code = "saved_session_directory"


class SavedSessionSpecial(SavedSessionUnreadable):
    """A pipe, a socket or a device is where the file should be."""

    code = "saved_session_special"


def damaged(what: str) -> SavedSessionUnreadable:
    """Return the refusal of a file that was changed; `what` says how it shows."""
    return SavedSessionUnreadable(
        f"The saved session is damaged: {what}. The file is kept; restore it from a backup, "
        "or delete the saved session."
    )


def truncated(what: str) -> SavedSessionTruncated:
    """Return the refusal of a file that is cut off; `what` says how it shows."""
    return SavedSessionTruncated(
        f"The saved session is cut off: {what}. The file is kept; restore it from a backup, "
        "or delete the saved session."
    )
