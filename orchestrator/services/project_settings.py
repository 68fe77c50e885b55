"""What applies to a project: its own settings file over the user's, below the environment.

Owns the order. Refuses the file itself: the supervisor reads it, as the only
process that sees projects.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from orchestrator.domain.errors import InvalidRequest, InvalidSettings
from orchestrator.domain.models import ConfigChange, SessionConfig, merge_config
from orchestrator.services.model_choice import with_model

FREE_KEYS: Final = ("provider", "model", "temperature", "max_tokens")
"""Keys of a project's file that count without trust."""

_VARIABLES: Final = {
    "provider": "JIDO_MODEL",
    "model": "JIDO_MODEL",
    "temperature": "JIDO_TEMPERATURE",
    "max_tokens": "JIDO_MAX_TOKENS",
}


def apply_project(
    base: SessionConfig,
    project_path: str,
    values: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
) -> SessionConfig:
    """Return `base` with the project's own choices, except where the environment decides.

    Raises InvalidSettings, naming the file, when a value is not usable.
    """
    free = {
        key: values[key]
        for key in FREE_KEYS
        if key in values and not environment.get(_VARIABLES[key])
    }
    if not free:
        return base
    name = f"{project_path}/.jido_code/settings.json"
    try:
        return merge_config(base, with_model(ConfigChange.model_validate(free), base))
    except InvalidRequest as error:
        raise InvalidSettings(f"{name}: {error.detail}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in fault["loc"])
        raise InvalidSettings(f"{name}: “{field}” is not usable: {fault['msg']}.") from error
