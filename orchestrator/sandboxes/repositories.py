"""Repositories that a session made or changed inside a project: what a user's own git would run.

Owns one script for the sandbox and the strict reading of its answer. A repository below the top
has hooks and configuration that no mount protects, so the user is told of it before calling git
there. Names come from the sandbox and stay data; what is found is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.sandboxes import results
from orchestrator.sandboxes.channel import Channel

Kind = Literal["repository_made", "repository_changed", "gitlink_added"]

MAX_FINDINGS: Final = 50
"""Findings told at once; one that is cut is the last."""

SEARCH_TIMEOUT_S: Final = 10.0
"""Seconds for the search in a large tree; one that takes longer finds nothing."""

MAX_PATH_CHARACTERS: Final = 300
"""Characters of a path that are told."""

_MAX_BYTES: Final = 1024 * 1024
_GRACE_S: Final = 5.0

_FIELDS: Final = 6

_SCRIPT: Final = r"""
export GIT_LITERAL_PATHSPECS=1
runs='^(core\.(fsmonitor|hookspath|sshcommand|gitproxy|pager|editor|askpass)|include\.path'
runs="$runs|includeif\..*|filter\..*|diff\..*\.(command|textconv)|diff\.external|alias\..*"
export runs="$runs|merge\..*\.driver|credential\..*|gpg\..*|sequence\.editor|uploadpack\..*)$"
find . -xdev \( -name .git -prune -o -name HEAD -type f \) -print0 2>/dev/null \
    | head -c 500000 | xargs -0 -r sh -c '
for place do
    case $place in
        */.git) if [ -d "$place" ]; then own=$place; else own=; fi ;;
        *) own=${place%/HEAD}; [ -d "$own/objects" ] && [ -d "$own/refs" ] || continue ;;
    esac
    born=$(stat --printf %.9W -- "$place" 2>/dev/null) || continue
    case $born in 0.*|-*) born=$(stat --printf %.9Z -- "$place") ;; esac
    changed=0 keys= hooks=
    if [ -n "$own" ]; then
        changed=$(stat --printf %.9Z -- "$own/config" 2>/dev/null) || changed=0
        keys=$(git config --file "$own/config" --name-only --get-regexp "$runs" 2>/dev/null \
            | head -n 20 | tr "\n" " ")
        hooks=$(find "$own/hooks" -maxdepth 1 -type f ! -name "*.sample" -perm /111 \
            -printf "%C@ " 2>/dev/null | head -c 400)
    fi
    printf "repository\0%s\0%s\0%s\0%s\0%s\0" "$place" "$born" "$changed" "$keys" "$hooks"
done' sh
find .git/modules -name config -type f -print0 2>/dev/null | head -c 100000 | xargs -0 -r sh -c '
for place do
    changed=$(stat --printf %.9Z -- "$place") || continue
    printf "module\0%s\0%s\0%s\0\0\0" "$place" 0 "$changed"
done' sh
git rev-parse --git-dir >/dev/null 2>&1 || exit 0
base=$(cat .jido_code/baseline 2>/dev/null) || base=
case $base in *[!0-9a-f]*) base= ;; esac
[ -n "$base" ] || base=HEAD
before=$(git ls-tree -r "$base" 2>/dev/null | sed -n 's/^160000 [^\t]*\t//p')
git ls-files --stage | sed -n 's/^160000 [^\t]*\t//p' | head -n 100 | while IFS= read -r place; do
    printf '%s\n' "$before" | grep -qxF -e "$place" \
        || printf 'gitlink\0%s\0%s\0%s\0\0\0' "$place" 0 0
done
exit 0
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One repository that deserves a look."""

    kind: Kind
    path: str
    """Relative to the project; the `.git` entry, the directory of a bare one, or the gitlink."""
    runs: tuple[str, ...] = ()
    """Settings of its configuration that name programs, and `hooks` when it has any."""


async def found_since(channel: Channel, moment: float) -> list[Finding]:
    """Return the repositories made or changed since `moment`, in seconds since 1970.

    Raises ToolError, ToolTimeout, ChannelClosed.
    """
    arguments = {
        "command": ["/bin/sh", "-c", _SCRIPT],
        "timeout_s": SEARCH_TIMEOUT_S,
        "keep_bytes": _MAX_BYTES,
    }
    reply = await channel.request("run", arguments, timeout_s=SEARCH_TIMEOUT_S + _GRACE_S)
    output = results.output_of(reply.result, reply.payload)
    words = output.stdout.head.decode("utf-8", "replace").split("\0")
    rows = (words[start : start + _FIELDS] for start in range(0, len(words) - 1, _FIELDS))
    found = (_finding(row, moment) for row in rows if len(row) == _FIELDS)
    return sorted((each for each in found if each), key=lambda each: each.path)[:MAX_FINDINGS]


def _finding(row: list[str], moment: float) -> Finding | None:
    what, place, born, changed, keys, hooks = row
    path = place.removeprefix("./")[:MAX_PATH_CHARACTERS]
    if what == "gitlink":
        return Finding("gitlink_added", path)
    if path == ".git" and what == "repository" and _number(born) <= moment:
        # What is in there is protected by mounts.
        return None
    runs = (*dict.fromkeys(keys.split()), *(("hooks",) if hooks.strip() else ()))
    if _number(born) > moment:
        return Finding("repository_made", path, runs)
    times = [_number(changed), *map(_number, hooks.split())]
    return Finding("repository_changed", path, runs) if max(times) > moment else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
