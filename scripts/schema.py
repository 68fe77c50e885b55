"""Writes the JSON Schema of portable sessions into docs/protocol.md.

`python -m scripts.schema` after a change of `orchestrator.wire.portable`; a test compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from orchestrator.wire.portable import Portable

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "protocol.md"
BEGIN: Final = "<!-- schema of portable sessions: python -m scripts.schema -->\n```json\n"
END: Final = "\n```\n<!-- end of schema -->"


def published(page: str) -> str:
    """Return the schema that `page` holds; raises ValueError when it holds none."""
    start = page.index(BEGIN) + len(BEGIN)
    return page[start : page.index(END, start)]


def schema() -> str:
    """Return the schema as JSON, one field and one definition a line."""
    document = Portable.model_json_schema()
    lines = {
        key: _lines(value) if key in ("properties", "$defs") else json.dumps(value)
        for key, value in sorted(document.items(), key=lambda item: item[0] == "$defs")
    }
    return "{" + ",\n".join(f'"{key}": {text}' for key, text in lines.items()) + "}"


def _lines(values: dict[str, Any]) -> str:
    return "{\n " + ",\n ".join(f'"{k}": {json.dumps(v)}' for k, v in values.items()) + "}"


def main() -> None:
    """Replace the schema in the page."""
    page = PAGE.read_text()
    PAGE.write_text(page.replace(BEGIN + published(page) + END, BEGIN + schema() + END))


if __name__ == "__main__":
    main()
