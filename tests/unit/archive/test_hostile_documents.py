"""Documents spoilt in a thousand ways are taken in or refused, and nothing else."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.domain.errors import JidoError
from orchestrator.services.transfer import read_document

EXPORTS = Path(__file__).parent / "exports"
ROUNDS = 1500
VALUES: list[Any] = [
    *(None, True, -1, 1e308, 2**70, "", "\0", "\x1b[2J", "a" * 100_001),
    *("9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00", 253402300800, -62135596801),
    *([], {}, [[]], [None], {"a": {"b": []}}, {"part_kind": "text"}, {"part_kind": {}}),
    *({"kind": "image-url", "url": "x"}, {"type": "text"}),
]

Place = tuple[str | int, ...]


def _places(value: Any, before: Place = ()) -> Iterator[Place]:
    if before:
        yield before
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from _places(child, (*before, key))
        else:
            yield (*before, key)


def _spoil(document: dict[str, Any], chance: random.Random) -> None:
    place = chance.choice(list(_places(document)))
    inner: Any = document
    for key in place[:-1]:
        inner = inner[key]
    match chance.randrange(3):
        case 0:
            del inner[place[-1]]
        case 1:
            inner[place[-1]] = chance.choice(VALUES)
        case _ if isinstance(inner, dict):
            inner["some\x1bthing"] = chance.choice(VALUES)


def _judged(document: dict[str, Any]) -> tuple[str, str]:
    try:
        read_document(json.dumps(document).encode())
    except JidoError as error:
        return error.code, error.detail
    return "taken in", ""


def test_a_spoilt_document_is_taken_in_or_refused_in_one_line() -> None:
    chance = random.Random(7)
    originals = [json.loads(path.read_bytes()) for path in sorted(EXPORTS.iterdir())]
    seen: Counter[str] = Counter()
    for _ in range(ROUNDS):
        document = copy.deepcopy(chance.choice(originals))
        _spoil(document, chance)
        code, detail = _judged(document)
        assert detail.isprintable(), document
        seen[code] += 1
    assert seen["taken in"] > ROUNDS // 10
    assert seen["invalid_request"] > ROUNDS // 10
    assert seen["internal"] == 0
