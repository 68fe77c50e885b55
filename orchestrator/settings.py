"""Settings: environment, then the user's file, read once per process.

    who reads what
    ├── environment `JIDO_*`                     every process; wins
    ├── `$JIDO_HOME/settings.json`               every process; the user's own
    └── `<project>/.jido_code/settings.json`     `orchestrator.services`, per session

Owns names, defaults and units. Refuses unknown keys by name, and never holds a
provider's key: those stay in the environment of the worker.
"""

from __future__ import annotations

import json
import os
import pwd
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from orchestrator import __version__
from orchestrator.domain.errors import InvalidSettings
from orchestrator.domain.limits import MAX_SAVED_SESSIONS
from orchestrator.domain.models import DEFAULT_MODELS, parse_model, validate_provider

_MAX_SETTINGS_BYTES: Final = 1_048_576
_MAX_SOCKET_PATH: Final = 60
"""Bytes a run directory may have, so that sockets within stay below the kernel's 108."""

RuntimeChoice = Literal["auto", "docker", "bubblewrap", "kubernetes"]


def _user_home() -> Path:
    return Path(os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)


class Settings(BaseSettings):
    """What every process of one installation is told."""

    model_config = SettingsConfigDict(
        env_prefix="JIDO_", extra="forbid", env_ignore_empty=True, frozen=True
    )

    home: Path = Field(default_factory=lambda: _user_home() / ".jido_code")
    """Directory of settings, saved sessions, token and embedded data."""
    url: str = "http://127.0.0.1:8420"
    """The server that clients talk to."""
    token: str | None = None
    """Bearer token; None reads `$JIDO_HOME/token`."""
    redis_url: str | None = None
    """`redis://`, `rediss://` or `unix://`; None means the embedded server of this home."""
    runtime: RuntimeChoice = "auto"
    """auto takes docker if an engine answers, else bubblewrap, else refuses."""
    sandbox_image: str = f"jido-sandbox:{__version__}"
    """Image of new Docker sandboxes; another's programs run in place of ours."""
    oci_runtime: str | None = None
    """For example `runsc`; None takes the engine's default."""
    project_roots: str = ""
    """Colon-separated directories; empty means the user's home."""
    max_sessions: int = Field(default=10, ge=1, le=1000)
    """Live sessions at once."""
    model: str | None = None
    """`provider:model` of new sessions; None is found from the keys present."""
    openai_base_url: str | None = None
    """An OpenAI-compatible server; None takes the provider's own."""
    anthropic_base_url: str | None = None
    """A server that speaks Anthropic messages; None takes the provider's own."""
    google_base_url: str | None = None
    """A server that speaks Google's generateContent; None takes the provider's own."""
    ollama_base_url: str = "http://127.0.0.1:11434/v1"
    """Where Ollama answers."""
    sandbox_memory: str = "2g"
    """Bytes with a suffix k, m or g; per sandbox."""
    sandbox_cpus: float = Field(default=2.0, gt=0)
    """Processors per sandbox."""
    sandbox_pids: int = Field(default=512, ge=16)
    """Processes and threads per sandbox."""
    sandbox_tmpfs: str = "0"
    """Bytes of a writable /tmp and of /dev/shm, in memory; 0 means none. Weakens isolation."""
    sandbox_disk: str = "0"
    """Bytes, with a suffix k, m or g, that a session may add to its project; 0 means no ceiling."""
    sandbox_disk_warning: str = "5g"
    """Bytes added to a project from which its session is warned; 0 means never."""
    sandbox_network: Literal["none", "allowlist", "open"] = "none"
    """Network of a sandbox; anything but none weakens isolation."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Of new sessions; None leaves the provider's default, 0.0 is a real zero."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens per answer of new sessions; None leaves the provider's default."""
    approval: Literal["ask", "edits", "all"] = "all"
    """What the agent may do unasked inside its sandbox: all, edits only, or nothing.
    With all, nobody looks at a command before it runs: the sandbox alone holds."""
    theme: str | None = None
    """Colours of the client: dark, light or high_contrast; None takes its default."""
    host: str = "127.0.0.1"
    """Address the api binds."""
    port: int = Field(default=8420, ge=0, le=65535)
    """Port the api binds; 0 takes a free one."""
    allowed_hosts: str = "127.0.0.1,localhost,[::1]"
    """Comma-separated names a request's Host may carry, ports aside."""
    workers: int = Field(default=0, ge=0, le=200)
    """Turns that may run at once; 0 means two more than max_sessions."""
    run_directory: Path | None = None
    """Directory of sockets; None means `$JIDO_HOME/run`, or a short path when that is too long."""
    saved_max_age_days: int = Field(default=0, ge=0, le=36_500)
    """Days after its last use at which a saved session is deleted; 0 means never."""
    saved_max_count: int = Field(default=0, ge=0, le=MAX_SAVED_SESSIONS)
    """Saved sessions kept, live ones aside; the oldest beyond are deleted; 0 deletes none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    @field_validator("model")
    @classmethod
    def _model_has_both_parts(cls, value: str | None) -> str | None:
        if value is not None:
            parse_model(value)
        return value

    @field_validator("sandbox_memory", "sandbox_tmpfs", "sandbox_disk", "sandbox_disk_warning")
    @classmethod
    def _size_can_be_read(cls, value: str) -> str:
        try:
            parse_size(value)
        except InvalidSettings as error:
            raise ValueError(error.detail) from error
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url_has_a_known_scheme(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("write redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the user's file below the environment."""
        return init_settings, env_settings, _UserFile(settings_cls)

    @property
    def roots(self) -> list[str]:
        """Real paths of the directories beneath which projects may lie."""
        named = [part for part in self.project_roots.split(":") if part]
        return [os.path.realpath(part) for part in named or [str(_user_home())]]

    @property
    def user_home(self) -> str:
        """Real path of the user's home."""
        return os.path.realpath(_user_home())

    @property
    def run_path(self) -> Path:
        """Directory of sockets, short enough for the kernel's limit on their paths."""
        if self.run_directory is not None:
            return self.run_directory
        direct = self.home / "run"
        if len(os.fsencode(direct)) <= _MAX_SOCKET_PATH:
            return direct
        digest = sha256(os.fsencode(self.home.absolute())).hexdigest()[:12]
        return Path(f"/tmp/jido-{os.getuid()}-{digest}")

    @property
    def embedded_redis_socket(self) -> Path:
        """Socket of the embedded Valkey."""
        return self.run_path / "valkey.sock"

    @property
    def effective_redis_url(self) -> str:
        """Redis URL, the embedded one when none is set."""
        return self.redis_url or f"unix://{self.embedded_redis_socket}"

    @property
    def channel_directory(self) -> Path:
        """Directory of the sockets that lead to tool servers, one per session."""
        return self.run_path / "channels"

    def channel_path(self, session_id: str) -> Path:
        """Socket that leads to the tool server of `session_id`."""
        return self.channel_directory / f"{session_id[:13]}.sock"

    @property
    def worker_count(self) -> int:
        """Worker processes."""
        return self.workers or self.max_sessions + 2


class _UserFile(PydanticBaseSettingsSource):
    """The user's `settings.json`, which may name any setting but where it lies itself."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Unused: the file is read whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the file's values; an absent or empty file has none."""
        home = os.environ.get("JIDO_HOME")
        values = read_settings_file(
            (Path(home) if home else _user_home() / ".jido_code") / "settings.json"
        )
        _flatten(values, "sandbox")
        _qualify_model(values)
        values.pop("home", None)
        return values


def _qualify_model(values: dict[str, Any]) -> None:
    """Make one `provider:model` of both keys; a provider alone means its default model."""
    if "provider" not in values:
        return
    provider, model = values.pop("provider"), values.get("model")
    if provider is None:
        return
    if not isinstance(provider, str):
        raise InvalidSettings("Setting “provider” is not usable: write a name, in quotes.")
    validate_provider(provider)
    if model is None:
        model = DEFAULT_MODELS[provider]
    if isinstance(model, str):
        values["model"] = model if model.startswith(f"{provider}:") else f"{provider}:{model}"


def _flatten(values: dict[str, Any], prefix: str) -> None:
    section = values.pop(prefix, None)
    if isinstance(section, dict):
        values.update({f"{prefix}_{key}": value for key, value in section.items()})


def read_settings_file(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`; empty when the file is absent or empty.

    Raises InvalidSettings when it cannot be read, is larger than 1 MiB or is no JSON object.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_SETTINGS_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidSettings(
            f"{path} cannot be read: {error.strerror}. Mend or remove it, or set JIDO_HOME."
        ) from error
    if len(raw) > _MAX_SETTINGS_BYTES:
        raise InvalidSettings(f"{path} exceeds 1 MiB; it cannot be a settings file.")
    if not raw.strip():
        return {}
    try:
        values = json.loads(raw)
    except ValueError as error:
        raise InvalidSettings(f"{path} is not valid JSON: {error}. Mend or remove it.") from error
    if not isinstance(values, dict):
        raise InvalidSettings(f"{path} must hold one JSON object.")
    return values


def load_settings(**overrides: Any) -> Settings:
    """Read the settings of this process; `overrides` win over every source.

    Raises InvalidSettings with one line that names the first faulty key.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise InvalidSettings(_first_fault(error)) from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = ".".join(str(part) for part in fault["loc"]) or "settings"
    if fault["type"] == "extra_forbidden":
        return (
            f"Setting “{name}” is not known. Remove it, or check its spelling in "
            "docs/operations.md."
        )
    reason = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"Setting “{name}” is not usable: {reason}."


def parse_size(text: str) -> int:
    """Return the bytes meant by `512`, `64k`, `512m` or `2g`; raises InvalidSettings."""
    factor = {"k": 1024, "m": 1024**2, "g": 1024**3}.get(text[-1:].lower(), 1)
    digits = text[:-1] if factor > 1 else text
    if not digits.isdecimal():
        raise InvalidSettings(f"“{text}” is not a size. Write bytes, or a number with k, m or g.")
    return int(digits) * factor
