"""From an accepted prompt to the provider, and from the provider's words to the client.

The provider's words are moments, so the age of what arrives is read from it. Beside it: the
same provider asked directly, by the same client, in the same run.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from orchestrator.wire.sse import Decoder
from scripts.bench.clock import since
from scripts.bench.figures import Beside, Figure
from scripts.bench.processes import parts, processor_ms
from scripts.bench.scene import Scene

STREAMS = 10
ACCEPTED_MS = 250.0
CHUNK_MS = 100.0
PAUSE_MS = 30
"""Milliseconds between a provider's words; a fast model's pace."""
_OVER = {"turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted"}


class Words:
    """The provider's words as they arrive in pieces: moments, in nanoseconds."""

    def __init__(self) -> None:
        """Start before the first word."""
        self.moments: list[int] = []
        self.ages_ms: list[float] = []
        """Milliseconds from each word's moment to its arrival."""
        self._begun = ""

    def take(self, text: str) -> None:
        """Take text that has just arrived."""
        now = time.monotonic_ns()
        *whole, self._begun = (self._begun + text).split(" ")
        for word in whole:
            self.moments.append(int(word))
            self.ages_ms.append((now - int(word)) / 1e6)


async def prompt_to_provider(scene: Scene) -> None:
    """Measure, turn after turn, from the answer 202 until the provider has the request."""
    own: list[float] = []
    async with scene.session() as session:
        for _ in range(1 + scene.rounds(20, 6)):
            accepted = await submit(scene, session, "chunks=0 pause_ms=0")
            words = await _follow(scene, session, accepted[1])
            own.append((words.moments[0] - accepted[0]) / 1e6)
    direct = []
    for _ in range(scene.rounds(20, 6)):
        asked = time.monotonic_ns()
        words = await _ask_directly(scene, "chunks=0 pause_ms=0")
        direct.append((words.moments[0] - asked) / 1e6)
    scene.figures.append(
        Figure(
            "prompt accepted -> provider",
            own[1:],
            at_most=ACCEPTED_MS,
            beside=[Beside("provider asked directly", direct)],
        )
    )


async def chunk_to_client(scene: Scene) -> None:
    """Measure the age of every word at the client while ten sessions stream at once."""
    prompt = f"chunks={scene.rounds(300, 100)} pause_ms={PAUSE_MS}"
    async with scene.sessions(STREAMS) as sessions:
        used, start = _processor_ms(scene), time.perf_counter()
        turns = [(await submit(scene, each, prompt))[1] for each in sessions]
        pairs = zip(sessions, turns, strict=True)
        streams = await asyncio.gather(*(_follow(scene, *pair) for pair in pairs))
        share = 100 / since(start)
        used = {name: (ms - used[name]) * share for name, ms in _processor_ms(scene).items()}
    direct = await asyncio.gather(*(_ask_directly(scene, prompt) for _ in range(STREAMS)))
    scene.figures.append(
        Figure(
            f"provider's word -> client, {STREAMS} streaming",
            _ages(streams),
            at_most=CHUNK_MS,
            held="p95",
            beside=[Beside("provider read directly", _ages(direct))],
        )
    )
    for name, percent in sorted(used.items()):
        scene.figures.append(Figure(f"  {name}, of a processor meanwhile", [percent], "%"))


def _processor_ms(scene: Scene) -> dict[str, float]:
    return {
        name: sum(processor_ms(pid) for pid in pids)
        for name, pids in parts(scene.stack_pid).items()
    }


def _ages(streams: list[Words]) -> list[float]:
    """Return the ages of all words but each stream's first, which says when the request came."""
    return [age for stream in streams for age in stream.ages_ms[1:]]


async def submit(scene: Scene, session: dict[str, Any], prompt: str) -> tuple[int, str]:
    """Submit a prompt; return the moment of the answer and the turn."""
    answer = await scene.client.post(f"/v1/sessions/{session['id']}/turns", json={"prompt": prompt})
    moment = time.monotonic_ns()
    answer.raise_for_status()
    return moment, str(answer.json()["id"])


async def _follow(scene: Scene, session: dict[str, Any], turn_id: str) -> Words:
    """Read a session's events to the end of a turn; raises RuntimeError when it fails."""
    words = Words()
    path = f"/v1/sessions/{session['id']}/events?after=0"
    async with scene.client.stream("GET", path) as answer:
        answer.raise_for_status()
        async for event in _events(answer):
            data = event["data"]
            if event["type"] == "text.delta" and data["turn_id"] == turn_id:
                words.take(data["text"])
            if event["type"] in _OVER and data["turn"]["id"] == turn_id:
                if event["type"] != "turn.completed" or not words.moments:
                    raise RuntimeError(f"{event['type']}: {data['turn'].get('error')}")
                return words
    raise RuntimeError("the events ended before the turn")


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    decoder = Decoder()
    async for line in answer.aiter_lines():
        for frame in decoder.feed(line):
            event: dict[str, Any] = json.loads(frame.data)
            yield event


async def _ask_directly(scene: Scene, prompt: str) -> Words:
    """Ask the provider itself, on a connection of its own."""
    words = Words()
    body = {"stream": True, "model": "bench", "messages": [{"role": "user", "content": prompt}]}
    url = f"{scene.provider_url}/chat/completions"
    async with httpx.AsyncClient(timeout=60) as client, client.stream("POST", url, json=body) as a:
        async for line in a.aiter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line[6:])["choices"][0]["delta"]
                words.take(delta.get("content", ""))
    return words
