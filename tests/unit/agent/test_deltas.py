"""Pieces of text become few events, in order, the first at once."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.agent.deltas import DeltaBuffer
from orchestrator.agent.live import MAX_LIVE_BYTES, LiveOutput, current_call
from orchestrator.domain.errors import StoreUnavailable
from orchestrator.domain.events import NewEvent
from tests.unit.agent.stage import MemorySink


async def test_the_first_piece_goes_at_once_and_the_rest_together() -> None:
    sink = MemorySink()
    buffer = DeltaBuffer(sink.emit, interval_s=0.05)
    await buffer.add("text.delta", {"message_id": "m"}, "one")
    assert sink.text() == "one"
    for word in (" two", " three"):
        await buffer.add("text.delta", {"message_id": "m"}, word)
    assert sink.text() == "one"
    await sink.until(lambda: len(sink.events) == 2)
    assert sink.of("text.delta")[1] == {"message_id": "m", "text": " two three"}
    await buffer.close()


async def test_other_fields_and_types_are_kept_apart_and_in_order() -> None:
    sink = MemorySink()
    buffer = DeltaBuffer(sink.emit, interval_s=10)
    await buffer.add("text.delta", {"message_id": "a"}, "first")
    buffer.put("reasoning.delta", {"message_id": "a"}, "why")
    buffer.put("text.delta", {"message_id": "a"}, "x")
    buffer.put("text.delta", {"message_id": "b"}, "y")
    buffer.put("text.delta", {"message_id": "b"}, "")
    await buffer.flush()
    await buffer.flush()
    told = [(e.type, e.data["message_id"], e.data["text"]) for e in sink.events[1:]]
    assert told == [
        ("reasoning.delta", "a", "why"), ("text.delta", "a", "x"), ("text.delta", "b", "y"),
    ]  # fmt: skip
    await buffer.close()


async def test_a_sink_that_fails_in_the_background_is_heard_of() -> None:
    async def refuse(_: list[NewEvent]) -> None:
        raise StoreUnavailable("away")

    buffer = DeltaBuffer(refuse, interval_s=0)
    buffer.put("text.delta", {}, "lost")
    await asyncio.sleep(0.05)
    with pytest.raises(StoreUnavailable):
        await buffer.flush()
    await buffer.flush()
    await buffer.close()


async def test_live_output_belongs_to_its_call_is_decoded_and_bounded() -> None:
    sink = MemorySink()
    buffer = DeltaBuffer(sink.emit, interval_s=0.001)
    output = LiveOutput("turn", buffer)
    output.take("stdout", b"belongs to no call")
    token = current_call.set("call")
    output.take("nonsense", b"no such stream")
    output.take("stdout", "é".encode()[:1])
    output.take("stdout", "é".encode()[1:])
    output.take("stderr", b"\xff")
    output.take("stdout", b"x" * (MAX_LIVE_BYTES + 5))
    output.take("stdout", b"beyond")
    current_call.reset(token)
    await buffer.flush()
    text = {
        stream: "".join(d["text"] for d in sink.of("tool.output") if d["stream"] == stream)
        for stream in ("stdout", "stderr")
    }
    assert text["stderr"] == "\ufffd"
    assert text["stdout"].startswith("éxxx")
    assert "more output follows" in text["stdout"]
    assert "beyond" not in text["stdout"]
    assert all(d["call_id"] == "call" for d in sink.of("tool.output"))
    await buffer.close()
