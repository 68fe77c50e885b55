"""Every failure a person or a program can meet, as one tree with stable codes.

    JidoError
    ├── InvalidRequest            the caller must change what it asks
    │   ├── ProjectPathMissing · ProjectPathTooLong · ProjectPathNotAbsolute
    │   ├── ProjectPathNotFound · ProjectPathNotDirectory · ProjectPathNotAllowed
    │   ├── ProjectPathPermissionDenied
    │   ├── InvalidName · NameTooLong
    │   ├── InvalidTemperature · InvalidMaxTokens
    │   ├── UnknownProvider · UnknownModelFormat
    │   ├── PromptEmpty · PromptTooLong
    │   ├── InvalidArgument · InvalidSettings
    │   ├── BodyTooLarge
    │   └── SavedSessionUnreadable · SavedSessionTooLarge · SavedSessionVersion · SavedSessionOwner
    ├── Unauthorized              no or a wrong token
    ├── Forbidden                 a Host that is not served, a peer that is not the owner
    ├── MethodNotAllowed          the address exists, this method of it does not
    ├── NotFound
    │   └── SessionNotFound · TurnNotFound · ApprovalNotFound · SavedSessionNotFound
    ├── Conflict                  true another time, or after another call
    │   ├── SessionLimitReached · ProjectAlreadyOpen · SessionNotReady
    │   ├── ApprovalAlreadyAnswered · SessionChanged · QueueFull · SavedLimitReached
    ├── Gone
    │   └── EventsTrimmed
    ├── TooManyRequests           carries `retry_after_s`
    ├── Unavailable               a part of the system does not answer
    │   ├── StoreUnavailable · SupervisorUnavailable · SandboxUnavailable
    │   └── ArchiveUnavailable · NoSpace
    └── ModelError                the provider refused or failed
        └── ModelAuthenticationFailed · ModelRateLimited · ModelUnavailable · ModelNotFound
            · ModelRequestRejected · BudgetReached

The detail says what happened and what to do, in one line, without secrets.
Errors of one room (runtimes, the tool server) derive from this tree beside the
code that raises them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    # Only named: commands that fail at once should not wait for the library to load.
    from pydantic import JsonValue


class JidoError(Exception):
    """A failure with a stable code and a sentence that says what to do."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init_subclass__(cls) -> None:
        """Make a title of the class's name, unless it has one of its own."""
        if "title" not in cls.__dict__:
            cls.title = re.sub(r"(?<!^)(?=[A-Z])", " ", cls.__name__).capitalize()

    def __init__(self, detail: str, **extra: JsonValue) -> None:
        """Keep `detail` for people and `extra`, JSON values, for programs."""
        super().__init__(detail)
        self.detail = detail
        self.extra: dict[str, JsonValue] = extra


class InvalidRequest(JidoError):
    """The caller must change what it asks."""

    code = "invalid_request"


class ProjectPathMissing(InvalidRequest):
    """No path was given."""

    code = "project_path_missing"


class ProjectPathTooLong(InvalidRequest):
    """The path exceeds 4096 bytes."""

    code = "project_path_too_long"


class ProjectPathNotAbsolute(InvalidRequest):
    """The path does not start at the root."""

    code = "project_path_not_absolute"


class ProjectPathNotFound(InvalidRequest):
    """Nothing exists there."""

    code = "project_path_not_found"


class ProjectPathNotDirectory(InvalidRequest):
    """Something exists there, but no directory."""

    code = "project_path_not_directory"


class ProjectPathNotAllowed(InvalidRequest):
    """Outside the project roots, a system directory, or the home directory itself."""

    code = "project_path_not_allowed"


class ProjectPathPermissionDenied(InvalidRequest):
    """The directory cannot be read by its own owner."""

    code = "project_path_permission_denied"


class InvalidName(InvalidRequest):
    """A session name is empty or holds control characters."""

    code = "invalid_name"


class NameTooLong(InvalidRequest):
    """A session name exceeds 50 characters."""

    code = "name_too_long"


class InvalidTemperature(InvalidRequest):
    """Outside 0 to 2."""

    code = "invalid_temperature"


class InvalidMaxTokens(InvalidRequest):
    """Not a positive number of tokens."""

    code = "invalid_max_tokens"
    title = "Invalid max_tokens"


class UnknownProvider(InvalidRequest):
    """The part of a model name before the colon is not known."""

    code = "unknown_provider"


class UnknownModelFormat(InvalidRequest):
    """A model is not written `provider:model`."""

    code = "unknown_model_format"


class PromptEmpty(InvalidRequest):
    """A prompt holds nothing but white space."""

    code = "prompt_empty"


class PromptTooLong(InvalidRequest):
    """A prompt exceeds 100,000 bytes."""

    code = "prompt_too_long"


class InvalidArgument(InvalidRequest):
    """Any other argument out of its range."""

    code = "invalid_argument"


class InvalidSettings(InvalidRequest):
    """A settings file or variable is unreadable, or names an unknown key."""

    code = "invalid_settings"


class BodyTooLarge(InvalidRequest):
    """A request carries more bytes than its call takes."""

    code = "body_too_large"


class SavedSessionUnreadable(InvalidRequest):
    """A saved session is truncated, damaged or fails its checksum."""

    code = "saved_session_damaged"


class SavedSessionTooLarge(InvalidRequest):
    """A saved session exceeds 50 MiB."""

    code = "saved_session_too_large"


class SavedSessionVersion(InvalidRequest):
    """A saved session was written by a newer version."""

    code = "saved_session_version"


class SavedSessionOwner(InvalidRequest):
    """A saved session belongs to somebody else."""

    code = "saved_session_owner"


class Unauthorized(JidoError):
    """No bearer token, or a wrong one."""

    code = "unauthorized"


class Forbidden(JidoError):
    """A Host that is not served, or an origin that is not the owner's."""

    code = "forbidden"


class MethodNotAllowed(JidoError):
    """The address exists, but not with this method."""

    code = "method_not_allowed"


class NotFound(JidoError):
    """The thing named does not exist."""

    code = "not_found"


class SessionNotFound(NotFound):
    """No live session has this id."""

    code = "session_not_found"


class TurnNotFound(NotFound):
    """The session has no turn of this id."""

    code = "turn_not_found"


class ApprovalNotFound(NotFound):
    """The turn asks for no approval of this call."""

    code = "approval_not_found"


class SavedSessionNotFound(NotFound):
    """No saved session has this id."""

    code = "saved_session_not_found"


class Conflict(JidoError):
    """True at another time, or after another call."""

    code = "conflict"


class SessionLimitReached(Conflict):
    """As many sessions are live as the limit allows."""

    code = "session_limit_reached"


class ProjectAlreadyOpen(Conflict):
    """Another live session has the same real path."""

    code = "project_already_open"


class SessionNotReady(Conflict):
    """The session's sandbox is not ready to work."""

    code = "session_not_ready"


class ApprovalAlreadyAnswered(Conflict):
    """Somebody answered first."""

    code = "approval_already_answered"


class SessionChanged(Conflict):
    """Another writer changed the record first; read it again."""

    code = "session_changed"


class QueueFull(Conflict):
    """Too many prompts wait in this session."""

    code = "queue_full"


class SavedLimitReached(Conflict):
    """As many sessions are saved as the limit allows."""

    code = "saved_limit_reached"
    title = "Saved session limit reached"


class Gone(JidoError):
    """It existed once."""

    code = "gone"


class EventsTrimmed(Gone):
    """The events after the given place are no longer kept; load the transcript instead."""

    code = "events_trimmed"


class TooManyRequests(JidoError):
    """A rate limit; `extra["retry_after_s"]` says how many seconds to wait."""

    code = "rate_limited"


class Unavailable(JidoError):
    """A part of the system does not answer."""

    code = "unavailable"


class StoreUnavailable(Unavailable):
    """Redis does not answer."""

    code = "store_unavailable"


class SupervisorUnavailable(Unavailable):
    """No supervisor answers."""

    code = "supervisor_unavailable"


class SandboxUnavailable(Unavailable):
    """The session's sandbox does not answer."""

    code = "sandbox_unavailable"


class ArchiveUnavailable(Unavailable):
    """The directory of saved sessions cannot be used."""

    code = "archive_unavailable"


class NoSpace(Unavailable):
    """The disk is full."""

    code = "no_space"


class ModelError(JidoError):
    """The provider refused or failed."""

    code = "model_error"


class ModelAuthenticationFailed(ModelError):
    """The key is missing or wrong; trying again cannot help."""

    code = "model_authentication_failed"


class ModelRateLimited(ModelError):
    """The provider asks to slow down."""

    code = "model_rate_limited"


class ModelUnavailable(ModelError):
    """The provider does not answer or answers with a server error."""

    code = "model_unavailable"


class ModelNotFound(ModelError):
    """The provider does not know this model."""

    code = "model_not_found"


class ModelRequestRejected(ModelError):
    """The provider refused the request as it stands."""

    code = "model_request_rejected"


class BudgetReached(ModelError):
    """The turn may not ask the model again: its requests or its money are used up."""

    code = "budget_reached"
