"""What a project's tool may declare, and what a call of it may carry."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import InvalidArgument
from orchestrator.domain.project_tools import (
    BUILT_IN_TOOLS,
    InvalidProjectTool,
    check_arguments,
    name_fault,
    parse_declaration,
)
from tui.state.tool_words import verb

PARAMETERS = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "description": "a glob"},
        "kind": {"type": "string", "enum": ["code", "text"]},
        "limit": {"type": "integer"},
        "ratio": {"type": "number"},
        "deep": {"type": "boolean"},
        "paths": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object", "properties": {"line": {"type": "integer"}}},
    },
    "required": ["pattern"],
}


def declared(**changes: Any) -> dict[str, Any]:
    return {"name": "tool", "description": "Does it.", "parameters": PARAMETERS, **changes}


def test_a_declaration_is_rebuilt_closed() -> None:
    tool = parse_declaration("tool", declared())
    assert (tool.name, tool.description) == ("tool", "Does it.")
    assert tool.parameters["required"] == ["pattern"]
    assert tool.parameters["additionalProperties"] is False
    assert tool.parameters["properties"]["place"]["additionalProperties"] is False


@pytest.mark.parametrize("parameters", [None, [], {}, {"properties": [], "required": []}])
def test_a_tool_may_take_nothing(parameters: Any) -> None:
    tool = parse_declaration("tool", declared(parameters=parameters))
    check_arguments(tool, {})
    with pytest.raises(InvalidArgument, match="“x” is not known"):
        check_arguments(tool, {"x": 1})


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def having(schema: Any, name: str = "a") -> dict[str, Any]:
    return declared(parameters={"type": "object", "properties": {name: schema}})


@pytest.mark.parametrize(
    ("declaration", "fault"),
    [
        (7, "must return a table"),
        (None, "must return a table"),
        (declared(name="other"), "declares this name"),
        (declared(description=None), "description must be text"),
        (declared(description=" "), "description must be text"),
        (declared(description="x" * 1001), "exceeds 1,000 characters"),
        (declared(description="x" * (1 << 20)), "exceeds 1,000 characters"),
        (declared(description="red \x1b[31m"), "cannot be printed"),
        (declared(description="turn \u202e round"), "cannot be printed"),
        (declared(description="half \udc80"), "cannot be printed"),
        (declared(parameters=7), "of type object"),
        (declared(parameters={"type": "array"}), "of type object"),
        (declared(parameters={"$ref": "http://example"}), "not known here: $ref"),
        (having({"type": "string", "description": "x" * 20_000}), "exceed 16 KiB"),
        (having(7), "`parameters.a` must be a schema"),
        (having({"type": "null"}), "must have a type of"),
        (having({"type": ["string"]}), "must be a schema with a type"),
        (having({"type": "string", "pattern": "(a+)+$"}), "not known here: pattern"),
        (having({"type": "string", "x\x1b[2J": 1}), "not known here: x?[2J"),
        (having({"type": "string", "enum": [1]}), "values of its type"),
        (having({"type": "number", "enum": [float("nan")]}), "values of its type"),
        (having({"type": "string", "enum": []}), "1 to 100 values"),
        (having({"type": "string", "enum": ["x"] * 101}), "1 to 100 values"),
        (having({"type": "string", "enum": ["\x07"]}), "cannot be printed"),
        (having({"type": "string", "description": "\x1b"}), "cannot be printed"),
        (having({"type": "string"}, "a b"), "no identifier"),
        (having({"type": "object", "required": ["b"]}), "properties that it has"),
        (having({"type": "object", "additionalProperties": True}), "those it declares"),
        (having(nested(6)), "nest deeper"),
        (having(nested(100_000)), "exceed 16 KiB"),
    ],
)
def test_hostile_declarations_are_refused_in_one_line(declaration: Any, fault: str) -> None:
    with pytest.raises(InvalidProjectTool) as refusal:
        parse_declaration("tool", declaration)
    detail = refusal.value.detail
    assert fault in detail
    assert detail.startswith(".jido_code/tools/tool.lua is no usable tool: ")
    assert detail.isprintable()
    assert len(detail) < 300
    assert parse_declaration("tool", having(nested(3))).name == "tool"


@pytest.mark.parametrize(
    "name", ["", "Tool", "1st", "a-b", "a b", "x" * 65, "../a", "a\x1b[2J", "é", "a\n", "lua"]
)
def test_names(name: str) -> None:
    assert name_fault(name) is not None
    with pytest.raises(InvalidProjectTool) as refusal:
        parse_declaration(name, declared(name=name))
    assert refusal.value.detail.isprintable()
    assert name_fault("x" * 64) is None


def test_no_name_of_the_agents_own_and_none_that_the_client_has_words_for() -> None:
    words = [
        "read_file",
        "run_command",
        "check_command",
        "send_input",
        "bash",
        "todo",
        "search_files",
        "file_info",
        "lua",
    ]
    assert all(verb(name, done=True) != f"Used {name.replace('_', ' ')}" for name in words)
    assert set(words) <= BUILT_IN_TOOLS
    assert all(name_fault(name) is not None for name in BUILT_IN_TOOLS)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({}, "“pattern” is missing"),
        ({"pattern": 1}, "“pattern” must be of type string"),
        ({"pattern": None}, "“pattern” must be of type string"),
        ({"pattern": "", "limit": 1.5}, "“limit” must be of type integer"),
        ({"pattern": "", "limit": True}, "“limit” must be of type integer"),
        ({"pattern": "", "ratio": float("inf")}, "“ratio” must be of type number"),
        ({"pattern": "", "deep": 1}, "“deep” must be of type boolean"),
        ({"pattern": "", "kind": "blue"}, '“kind” must be one of "code", "text"'),
        ({"pattern": "", "paths": "a"}, "“paths” must be an array"),
        ({"pattern": "", "paths": ["a", 2]}, "“paths[1]” must be of type string"),
        ({"pattern": "", "place": []}, "“place” must be an object"),
        ({"pattern": "", "place": {"line": "x"}}, "“place.line” must be of type integer"),
        ({"pattern": "", "place": {"z\x1b": 1}}, "“place.z?” is not known"),
    ],
)
def test_arguments_are_checked_before_anything_runs(arguments: dict[str, Any], fault: str) -> None:
    tool = parse_declaration("tool", declared())
    fine = {"pattern": "*", "kind": "code", "limit": 3.0, "ratio": 1, "deep": False}
    check_arguments(tool, {**fine, "paths": ["a"], "place": {"line": 1}})
    with pytest.raises(InvalidArgument) as refusal:
        check_arguments(tool, arguments)
    assert fault in refusal.value.detail


_KEYS = st.sampled_from(
    ["name", "description", "parameters", "type", "properties", "required", "enum", "items", "a"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.text(), inner, max_size=5)
    ),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(_JSON, _JSON, _JSON)
def test_whatever_is_declared_becomes_a_bounded_tool_or_one_refusal(
    declared: Any, schema: Any, arguments: Any
) -> None:
    for each in (declared, having(schema), {**having(schema), "parameters": schema}):
        try:
            tool = parse_declaration("tool", each)
        except InvalidProjectTool as refusal:
            unprintable = not refusal.detail.isprintable()
            assert not unprintable
            continue
        assert len(tool.description) <= 1000
        assert len(json.dumps(tool.parameters, allow_nan=False)) < 20_000
        with suppress(InvalidArgument):
            check_arguments(tool, arguments if isinstance(arguments, dict) else {"a": arguments})
