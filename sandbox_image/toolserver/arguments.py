"""Typed access to the arguments of one request; refuses what is missing, misspelt or mistyped."""

from __future__ import annotations

from sandbox_image.toolserver.errors import ToolFailure


class Arguments:
    """The `args` object of a request."""

    def __init__(self, values: dict[str, object]) -> None:
        """Wrap the parsed JSON object."""
        self._values = values

    def refuse_unknown(self, known: frozenset[str]) -> None:
        """Raise `invalid_argument` when a name is not in `known`."""
        for name in self._values:
            if name not in known:
                raise ToolFailure("invalid_argument", f"unknown argument `{name[:80]}`")

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string, `default` when absent."""
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise ToolFailure("invalid_argument", f"`{name}` must be a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None when absent or null."""
        return None if self._values.get(name) is None else self.text(name)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise ToolFailure("invalid_argument", f"`{name}` must be true or false")
        return value

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return an integer between `low` and `high`, both included."""
        value = self._values.get(name)
        if value is None:
            return default
        if type(value) is not int or not low <= value <= high:
            raise ToolFailure("invalid_argument", f"`{name}` must be between {low} and {high}")
        return value

    def seconds(self, name: str, default: float | None, high: float) -> float | None:
        """Return a positive number of seconds up to `high`, or `default` when absent."""
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= high:
            raise ToolFailure("invalid_argument", f"`{name}` must be above 0 and at most {high:g}")
        return float(value)

    def string_list(self, name: str, maximum: int) -> list[str]:
        """Return a list of at most `maximum` strings; raises when absent."""
        value = self._values.get(name)
        if not isinstance(value, list) or len(value) > maximum:
            raise ToolFailure("invalid_argument", f"`{name}` must be a list of strings")
        if not all(isinstance(item, str) for item in value):
            raise ToolFailure("invalid_argument", f"`{name}` must be a list of strings")
        return value

    def string_map(self, name: str, maximum: int) -> dict[str, str]:
        """Return a map of strings, empty when absent."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or len(value) > maximum:
            raise ToolFailure("invalid_argument", f"`{name}` must map names to strings")
        if not all(isinstance(item, str) for item in value.values()):
            raise ToolFailure("invalid_argument", f"`{name}` must map names to strings")
        return value

    def pairs(self, name: str, maximum: int) -> list[tuple[str, int]]:
        """Return at most `maximum` pairs of a name and a length, empty when absent."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > maximum:
            raise ToolFailure("invalid_argument", f"`{name}` must be at most {maximum} pairs")
        found: list[tuple[str, int]] = []
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
                raise ToolFailure("invalid_argument", f"`{name}` must be pairs of name and length")
            if type(pair[1]) is not int or pair[1] < 0:
                raise ToolFailure("invalid_argument", f"`{name}` must be pairs of name and length")
            found.append((pair[0], pair[1]))
        return found

    def object_list(self, name: str, maximum: int) -> list[Arguments]:
        """Return a list of objects, each as `Arguments`."""
        value = self._values.get(name)
        if not isinstance(value, list) or not 0 < len(value) <= maximum:
            raise ToolFailure("invalid_argument", f"`{name}` must be 1 to {maximum} objects")
        if not all(isinstance(item, dict) for item in value):
            raise ToolFailure("invalid_argument", f"`{name}` must be a list of objects")
        return [Arguments(item) for item in value]

    def has(self, name: str) -> bool:
        """Whether the argument was given and is not null."""
        return self._values.get(name) is not None
