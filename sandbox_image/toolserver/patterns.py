"""Glob patterns as regular expressions that cannot be made to backtrack for long.

`*` and `?` stay within one name, `**` spans directories, `[…]` and `{a,b}` work as in a
shell. A pattern without a slash matches a name at any depth.
"""

from __future__ import annotations

import re

from sandbox_image.toolserver.errors import ToolFailure

MAX_PATTERN_CHARACTERS = 1000
"""Characters of a pattern."""

MAX_ALTERNATIVES = 64
"""Patterns that braces may expand to."""

MAX_SPANNING = 3
"""`**` of one pattern; each multiplies the places to try."""


def compile_glob(pattern: str) -> re.Pattern[str]:
    """Compile a glob for paths relative to where the search starts; raises `invalid_argument`."""
    if not pattern or len(pattern) > MAX_PATTERN_CHARACTERS:
        raise ToolFailure("invalid_argument", "the pattern is empty or too long")
    alternatives = _expand(pattern)
    try:
        return re.compile("|".join(f"(?:{_translate(one)})" for one in alternatives) or "(?!)")
    except (re.error, OverflowError, RecursionError):
        raise ToolFailure("invalid_argument", "the pattern cannot be understood") from None


def _expand(pattern: str) -> list[str]:
    """Expand innermost braces until none are left."""
    done: list[str] = []
    pending = [pattern]
    while pending:
        one = pending.pop()
        match = re.search(r"\{([^{}]*,[^{}]*)\}", one)
        if match is None:
            done.append(one)
            continue
        for choice in match.group(1).split(","):
            pending.append(one[: match.start()] + choice + one[match.end() :])
        if len(pending) + len(done) > MAX_ALTERNATIVES:
            raise ToolFailure("invalid_argument", "the pattern has too many alternatives")
    return done


def _translate(pattern: str) -> str:
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    if "/" not in pattern:
        names = ["**", *names]
    names = [name for at, name in enumerate(names) if name != "**" or names[at - 1 : at] != ["**"]]
    if names.count("**") > MAX_SPANNING:
        raise ToolFailure("invalid_argument", f"the pattern has more than {MAX_SPANNING} `**`")
    parts: list[str] = []
    for at, name in enumerate(names):
        last = at == len(names) - 1
        if name == "**":
            parts.append(".*" if last else "(?:[^/]+/)*")
        else:
            parts.append(_translate_name(name) + ("" if last else "/"))
    return "(?s:" + "".join(parts) + r")\Z"


def _translate_name(name: str) -> str:
    """Translate one name; each `*` takes as little as makes the fixed text after it fit."""
    pieces: list[list[str]] = [[]]
    at = 0
    while at < len(name):
        character = name[at]
        at += 1
        if character == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append([])
        elif character == "?":
            pieces[-1].append("[^/]")
        elif character == "[" and (end := name.find("]", at + 1)) > 0:
            pieces[-1].append(_translate_class(name[at:end]))
            at = end + 1
        else:
            pieces[-1].append(re.escape(character))
    texts = ["".join(piece) for piece in pieces]
    if len(texts) == 1:
        return texts[0]
    middle = "".join(f"(?:(?=([^/]*?{text}))\\{{}})" for text in texts[1:-1])
    return _number_groups(texts[0], middle, texts[-1])


def _number_groups(first: str, middle: str, last: str) -> str:
    """Name the groups of the middle so that several names can be joined in one expression."""
    parts = middle.split("(?=(")
    numbered = parts[0]
    for part in parts[1:]:
        _counter[0] += 1
        name = f"g{_counter[0]}"
        numbered += f"(?=(?P<{name}>" + part.replace("\\{}", f"(?P={name})", 1)
    return f"{first}{numbered}[^/]*{last}"


_counter = [0]
"""Last number given to a group; only ever grows, so that names never clash."""


def _translate_class(inside: str) -> str:
    negated = inside[:1] in ("!", "^")
    inside = inside[1:] if negated else inside
    escaped = inside.replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    escaped = escaped.replace("&&", "&\\&").replace("||", "|\\|").replace("~~", "~\\~")
    return f"[^/{escaped}]" if negated else f"(?!/)[{escaped}]"
