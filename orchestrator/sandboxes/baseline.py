"""What a project was when its session began, so that the changes since can be told.

Owns two scripts for git inside the sandbox: one writes the state of all files that git does not
ignore as a tree, the other compares with that tree. Neither touches the user's index, branches or
stash. Refuses to keep copies of large new files, and to fail a session over any of it: without a
baseline the last commit is compared with, without a repository nothing.
"""

from __future__ import annotations

from typing import Final

from orchestrator.domain.limits import TOOL_TIMEOUT_S
from orchestrator.sandboxes import results
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.results import Output

RECORD_TIMEOUT_S: Final = 5.0
"""Seconds a new session waits for its baseline; a tree too large for that has none."""

MAX_CHANGES_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a comparison that are kept."""

_GRACE_S: Final = 5.0

_COMMON: Final = r"""
umask 077
export GIT_LITERAL_PATHSPECS=1
git() { command git -c core.fsmonitor=false -c advice.addEmptyPathspec=false "$@"; }
tree=.jido_code/baseline
index=$(git rev-parse --git-path index) && [ -d .jido_code ] || exit 3
own=$PWD/.jido_code/baseline-index.$$
trap 'rm -f "$own" "$own.lock" "$tree.$$"' EXIT
# Its time is kept, or git would miss files changed within the second of the last commit.
[ ! -f "$index" ] || cp -p -- "$index" "$own" || exit 3
export GIT_INDEX_FILE="$own"
new() { git ls-files -z --others --exclude-standard | sed -z 's|^|./|'; }
pick() { xargs -0 -r sh -c 'find "$@" -maxdepth 0 '"$1"' -print0' sh; }
SMALL='\( -type f -size -2048 -o -type l \)'
"""
"""Small means below 1 MiB: `find` counts blocks of 512 bytes."""

_RECORD: Final = (
    _COMMON
    + r"""
rm -f "$tree"
git add --update --ignore-errors . || true
new | pick "$SMALL" | git update-index -z --add --stdin
git write-tree > "$tree.$$" && mv "$tree.$$" "$tree"
"""
)

_COMPARE: Final = (
    _COMMON
    + r"""
base=$(cat "$tree" 2>/dev/null) || base=
case $base in *[!0-9a-f]*) base= ;; esac
[ -n "$base" ] && git cat-file -e "$base^{tree}" 2>/dev/null \
    || base=$(git rev-parse --verify --quiet 'HEAD^{tree}') \
    || base=$(git hash-object -t tree --stdin </dev/null)
new | pick "$SMALL" | git add --intent-to-add --pathspec-from-file=- --pathspec-file-nul || true
git diff --no-color --no-ext-diff --no-textconv "$base" --
newer=; [ ! -f "$tree" ] || newer="-newer $tree"
new | pick "-type f $newer" | tr '\0' '\n' | sed 's|^\./|new file: |'
"""
)


async def record(channel: Channel) -> bool:
    """Write the baseline of a session that begins; False when the project has none.

    Raises ToolError, ToolTimeout after `RECORD_TIMEOUT_S`, ChannelClosed.
    """
    found = await channel.request("exists", {"path": ".git"}, timeout_s=RECORD_TIMEOUT_S)
    if not results.flag(found.result, "exists"):
        return False
    return (await _run(channel, _RECORD, RECORD_TIMEOUT_S))[0] == 0


async def changes(channel: Channel) -> str:
    """Return the changes since the baseline, new files included, as git says them.

    Large new files are named only. Raises ToolError, ToolTimeout, ChannelClosed.
    """
    code, output = await _run(channel, _COMPARE, TOOL_TIMEOUT_S)
    return output.stdout.whole.decode("utf-8", "replace") if code == 0 else ""


async def _run(channel: Channel, script: str, timeout_s: float) -> tuple[int, Output]:
    arguments = {
        "command": ["/bin/sh", "-c", script],
        "timeout_s": timeout_s,
        "keep_bytes": MAX_CHANGES_BYTES,
    }
    reply = await channel.request("run", arguments, timeout_s=timeout_s + _GRACE_S)
    output = results.output_of(reply.result, reply.payload)
    return results.integer(reply.result, "exit_code"), output
