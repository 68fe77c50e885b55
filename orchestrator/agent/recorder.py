"""Writes a running turn down, message by message.

Owns the order: a complete message enters the history before its event, and
pieces of text before the message they belong to. One entry of the history
stands for one message of the agent library.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)

from orchestrator.agent.conversation import (
    message_event,
    open_calls,
    result_event,
    results_entry,
    results_of,
    unfinished_result,
)
from orchestrator.agent.deltas import DeltaBuffer
from orchestrator.agent.parts import (
    arguments_of,
    bounded,
    response_parts,
    result_status,
    result_text,
    to_json,
)
from orchestrator.agent.request import TurnSink
from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, ToolStatus


class Recorder:
    """The story of one turn on its way to the sink."""

    def __init__(self, turn_id: str, history: list[ModelMessage], sink: TurnSink) -> None:
        self._turn_id = turn_id
        self._sink = sink
        self.history = history
        """Every message recorded so far, earlier turns included."""
        self.deltas = DeltaBuffer(sink.emit)
        self._message_id = new_id()
        self._statuses: dict[str, ToolStatus] = {}
        self._called: set[str] = set()
        self._streamed = False

    @property
    def streamed(self) -> bool:
        """Whether a reader has seen a piece of the answer that is being received."""
        return self._streamed

    def continues(self, call_ids: set[str]) -> None:
        """Say which calls a reader was told of before the turn was suspended."""
        self._called |= call_ids

    async def emit(self, event: NewEvent) -> None:
        """Emit one event behind every piece of text."""
        await self.deltas.flush()
        await self._sink.emit([event])

    async def request(self, request: ModelRequest) -> None:
        """Record what the model is about to be sent."""
        await self.deltas.flush()
        self.history.append(request)
        if results_of(request):
            entry, events = results_entry(self._turn_id, request, self._statuses)
            await self._sink.record([entry], events)
        else:
            await self._sink.record([HistoryEntry(model=to_json(request))], [])
        self._message_id = new_id()
        self._streamed = False

    async def text(self, text: str, *, reasoning: bool = False) -> None:
        """Take a piece of the answer."""
        if text:
            self._streamed = True
            fields = {"turn_id": self._turn_id, "message_id": self._message_id}
            kind = "reasoning.delta" if reasoning else "text.delta"
            await self.deltas.add(kind, fields, text)  # type: ignore[arg-type]

    async def response(self, response: ModelResponse) -> None:
        """Record a complete answer."""
        await self.deltas.flush()
        self.history.append(response)
        message = self._message(response, interrupted=False)
        shown = message if message.parts else None
        events = [message_event(message)] if shown else []
        await self._sink.record([HistoryEntry(message=shown, model=to_json(response))], events)

    def _message(self, response: ModelResponse, *, interrupted: bool) -> Message:
        return Message(
            id=self._message_id,
            turn_id=self._turn_id,
            role="assistant",
            time=datetime.now(UTC),
            interrupted=interrupted,
            parts=response_parts(response),
        )

    async def called(self, call: ToolCallPart) -> None:
        """Tell of a call that starts or waits; once each."""
        if call.tool_call_id in self._called:
            return
        self._called.add(call.tool_call_id)
        data: dict[str, Any] = {
            "turn_id": self._turn_id,
            "call_id": call.tool_call_id,
            "name": call.tool_name,
            "arguments": arguments_of(call),
        }
        await self.emit(NewEvent(type="tool.call", data=data))

    async def returned(
        self, part: ToolReturnPart, elapsed_ms: float, *, timed_out: bool = False
    ) -> None:
        """Tell of a result; it is recorded with the request that carries it."""
        status: ToolStatus = "timeout" if timed_out else result_status(part)
        await self._tell(part, status, elapsed_ms)

    async def _tell(self, part: ToolReturnPart, status: ToolStatus, elapsed_ms: float) -> None:
        self._statuses[part.tool_call_id] = status
        text = result_text(part)
        await self.emit(result_event(self._turn_id, part.tool_call_id, status, text, elapsed_ms))

    async def cut_response(self, response: ModelResponse) -> None:
        """Record the part of an answer that came before it was cut off.

        Calls in it never ran and are left out; an answer without words is not recorded.
        """
        await self.deltas.flush()
        kept = [part for part in response.parts if not isinstance(part, ToolCallPart)]
        message = self._message(replace(response, parts=kept), interrupted=True)
        if not message.parts:
            return
        # Unfinished reasoning lacks the signature providers insist on: only words go back to them.
        words = [part for part in kept if isinstance(part, TextPart) and part.content]
        model = None
        if words:
            cut = replace(response, parts=words, state="complete")
            self.history.append(cut)
            model = to_json(cut)
        await self._sink.record(
            [HistoryEntry(message=message, model=model)], [message_event(message)]
        )

    async def cut_tools(self, finished: list[ToolReturnPart], status: ToolStatus) -> None:
        """Record the results there are and close every other call as `status`."""
        await self.deltas.flush()
        known = {part.tool_call_id for part in finished}
        left = [call for call in open_calls(self.history) if call.tool_call_id not in known]
        added = [unfinished_result(call, status) for call in left]
        for part in added:
            self._statuses[part.tool_call_id] = status
            if part.tool_call_id in self._called:
                await self._tell(part, status, 0)
        if finished or added:
            await self.request(ModelRequest(parts=[*finished, *added]))

    async def notice(self, level: str, code: str, text: str) -> None:
        """Tell the reader something that is no part of the conversation."""
        data = {"level": level, "code": code, "text": bounded(text)}
        await self.emit(NewEvent(type="notice", data=data))
