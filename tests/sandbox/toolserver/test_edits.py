"""Edits: exact, tolerant, ambiguous, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.support.toolserver import RawClient, RawReply, ToolServer


def edit(client: RawClient, *edits: Mapping[str, object], **arguments: object) -> RawReply:
    return client.call("edit", json.dumps(edits).encode(), path="f", **arguments)


def test_an_exact_match_is_replaced(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("one two three\n")
    result = edit(client, {"old": "two", "new": "2"}).result
    assert (result["replacements"], result["matches"]) == (1, ["exact"])
    assert (server.root / "f").read_text() == "one 2 three\n"


def test_an_ambiguous_match_is_refused_with_its_count(
    client: RawClient, server: ToolServer
) -> None:
    (server.root / "f").write_text("x x x")
    refused = edit(client, {"old": "x", "new": "y"})
    assert refused.code == "ambiguous"
    assert refused.header["error"]["data"] == {"count": 3}
    assert edit(client, {"old": "x", "new": "y", "replace_all": True}).result["replacements"] == 3


def test_several_edits_are_made_together_or_not_at_all(
    client: RawClient, server: ToolServer
) -> None:
    (server.root / "f").write_text("a b c")
    assert edit(client, {"old": "a", "new": "1"}, {"old": "z", "new": "2"}).code == "no_match"
    assert (server.root / "f").read_text() == "a b c"
    assert edit(client, {"old": "a", "new": "1"}, {"old": "1 b", "new": "2"}).result
    assert (server.root / "f").read_text() == "2 c"


def test_a_replacement_takes_the_indentation_of_the_file(
    client: RawClient, server: ToolServer
) -> None:
    (server.root / "f").write_text("class A:\n    def f(self):\n        return 1\n")
    wanted = {"old": "def f(self):\n    return 1", "new": "def f(self):\n    x = 2\n\n    return x"}
    assert edit(client, wanted).result["matches"] == ["indentation"]
    expected = "class A:\n    def f(self):\n        x = 2\n\n        return x\n"
    assert (server.root / "f").read_text() == expected


@pytest.mark.parametrize(
    ("text", "old", "kind"),
    [
        ("a  \nb\n", "a\nb", "trailing_whitespace"),
        ("\tif x:\n\t\ty\n", "if x:\n\ty", "indentation"),
        ("f( a,  b )\nz\n", "f( a, b )\nz", "whitespace"),
    ],
)
def test_whitespace_is_tolerated(
    client: RawClient, server: ToolServer, text: str, old: str, kind: str
) -> None:
    (server.root / "f").write_text(text)
    assert edit(client, {"old": old, "new": "done"}).result["matches"] == [kind]
    assert (server.root / "f").read_text().strip() == "done"


def test_tolerance_is_no_guess(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("  a\n\n    a\n")
    assert edit(client, {"old": " a ", "new": "b"}).code == "ambiguous"
    assert edit(client, {"old": "c", "new": "b"}).code == "no_match"
    assert edit(client, {"old": "\n\n\n\n", "new": "b"}).code == "no_match"


def test_windows_line_ends_are_kept(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_bytes(b"a\r\nb\r\nc\r\n")
    assert edit(client, {"old": "a\nb", "new": "1\n2"}).result["replacements"] == 1
    assert (server.root / "f").read_bytes() == b"1\r\n2\r\nc\r\n"


def test_lines_are_deleted(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("    a\n    b\n")
    edit(client, {"old": "a ", "new": ""}).result  # noqa: B018
    assert (server.root / "f").read_text() == "    b\n"


def test_a_changed_or_unsuitable_file_is_refused(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("a")
    wanted = {"old": "a", "new": "b"}
    assert edit(client, wanted, expected_hash="0" * 64).code == "changed"
    present = client.call("read", path="f").result["hash"]
    assert edit(client, wanted, expected_hash=present).result["replacements"] == 1
    (server.root / "f").write_bytes(b"\xff\xfe")
    assert edit(client, wanted).code == "binary"
    (server.root / "f").unlink()
    assert edit(client, wanted).code == "not_found"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b"[" * 5000,
        b'[{"old":"","new":"x"}]',
        b'[{"old":"x","new":"x"}]',
        b'[{"old":"x"}]',
        b'[{"old":"x","new":"y","more":1}]',
        b"\xff",
    ],
)
def test_malformed_edits_are_refused(client: RawClient, server: ToolServer, payload: bytes) -> None:
    (server.root / "f").write_text("x")
    assert client.call("edit", payload, path="f").code == "invalid_argument"
