"""No room grows until everybody sleeps in it: sizes and a few habits, measured."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source_files import EVERYTHING, PRODUCT, SourceFile, source_files

MAX_FILE_LINES = 400
MAX_TEST_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_CLASS_FUNCTIONS = 20
MAX_BROAD_PER_1000_LINES = 1.0
SHORTEST_REASON = 12
"""Characters of a comment that may pass for a reason."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MARKS = re.compile(r"noqa:?\s*[A-Z0-9, ]*|pragma:\s*no\s*\w+|type:\s*ignore(\[[^]]*\])?")


def _functions(file: SourceFile) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(file.tree) if isinstance(node, _FUNCTIONS))


def _lines_allowed(path: str) -> int:
    return MAX_TEST_FILE_LINES if path.startswith("tests/") else MAX_FILE_LINES


def _functions_of_class(node: ast.AST) -> Iterator[str]:
    """Names of the functions a class body defines, whatever they are called by or decorated with;
    functions inside functions and of nested classes belong to those."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            yield child.name
        elif not isinstance(child, ast.ClassDef):
            yield from _functions_of_class(child)


def _broad_handlers(file: SourceFile) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
        if node.type is None or names & {"Exception", "BaseException"}:
            yield node


def _reraises(handler: ast.ExceptHandler) -> bool:
    """Say whether the handler ends by raising what it caught: clean-up, not swallowing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _reason(line: str) -> str:
    _, _, comment = line.partition("#")
    return _MARKS.sub("", comment).strip(" #-()–")


def _where(file: SourceFile, node: ast.AST) -> str:
    return f"{file.path}:{getattr(node, 'lineno', 0)}"


def test_files_are_short() -> None:
    too_long = [
        f"{file.path}: {len(file.lines)}"
        for file in source_files(*EVERYTHING)
        if len(file.lines) > _lines_allowed(file.path)
    ]
    assert not too_long


def test_functions_are_short() -> None:
    too_long = [
        f"{_where(file, node)} {node.name}: {length}"
        for file in source_files(*EVERYTHING)
        for node in _functions(file)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not too_long


def test_classes_have_few_functions() -> None:
    """A reader meets each of them: properties, setters, overloads and dunders count as well."""
    too_many = [
        f"{_where(file, node)} {node.name}: {count}"
        for file in source_files(*PRODUCT)
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef)
        and (count := len(list(_functions_of_class(node)))) > MAX_CLASS_FUNCTIONS
    ]
    assert not too_many


def test_broad_excepts_carry_their_reason_on_the_line() -> None:
    unexplained = [
        f"{_where(file, handler)}: {file.lines[handler.lineno - 1].strip()}"
        for file in source_files(*PRODUCT)
        for handler in _broad_handlers(file)
        if len(_reason(file.lines[handler.lineno - 1])) < SHORTEST_REASON
    ]
    assert not unexplained


def test_broad_excepts_are_rare() -> None:
    files = source_files(*PRODUCT)
    lines = sum(len(file.lines) for file in files)
    broad = [
        _where(file, handler)
        for file in files
        for handler in _broad_handlers(file)
        if not _reraises(handler)
    ]
    assert len(broad) <= max(5.0, lines / 1000 * MAX_BROAD_PER_1000_LINES), broad


def test_only_commands_and_scripts_print() -> None:
    printing = [
        _where(file, node)
        for file in source_files(*PRODUCT)
        if not file.path.startswith("orchestrator/cli/")
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not printing


def test_every_module_says_what_it_owns() -> None:
    silent = [
        file.path
        for file in source_files(*PRODUCT)
        if len((ast.get_docstring(file.tree) or "").split()) < 3
    ]
    assert not silent


def test_nothing_is_left_to_do() -> None:
    mark = re.compile(r"#.*\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    left = [
        f"{file.path}:{number}"
        for file in source_files(*EVERYTHING)
        for number, line in enumerate(file.lines, 1)
        if mark.search(line)
    ]
    assert not left


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "manager", "misc"])
def test_no_room_without_a_story(name: str) -> None:
    assert not [f.path for f in source_files(*EVERYTHING) if f.path.endswith(f"/{name}.py")]


def test_a_reason_is_more_than_a_mark() -> None:
    assert _reason("except Exception:  # noqa: BLE001") == ""
    assert _reason("except Exception:  # noqa: BLE001 - one broken handler must not stop others")
    assert len(_reason("except Exception:  # noqa: BLE001  (a fault of ours)")) >= SHORTEST_REASON


def test_every_function_of_a_class_counts() -> None:
    text = """
class Each:
    def __init__(self):
        def nested(): ...
    @property
    def size(self): ...
    @size.setter
    def size(self, size): ...
    @classmethod
    async def make(cls): ...
    if True:
        def chosen(self): ...
    class Nested:
        def other(self): ...
"""
    names = list(_functions_of_class(ast.parse(text).body[0]))
    assert names == ["__init__", "size", "size", "make", "chosen"]
