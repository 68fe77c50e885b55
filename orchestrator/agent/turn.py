"""One turn: from a prompt, or the answers it waited for, to its outcome.

Owns the walk through the agent's steps, what happens when it is stopped or
fails half-way, and when a failed request is tried again. Refuses to enqueue,
lease or store.
"""

from __future__ import annotations

import asyncio
import warnings
from decimal import Decimal
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.agent import AgentRun
from pydantic_ai.exceptions import AgentRunError, CostNotFoundWarning, ModelAPIError, UserError
from pydantic_ai.messages import (
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied
from pydantic_ai.usage import RunUsage, UsageLimits
from pydantic_ai.workspaces import WorkspaceError
from pydantic_graph import End

from orchestrator.agent.build import Answer, shared_agent
from orchestrator.agent.conversation import open_calls, results_of
from orchestrator.agent.deps import TurnDeps
from orchestrator.agent.keys import FREE_PROVIDERS
from orchestrator.agent.live import LiveOutput, LiveWorkspace
from orchestrator.agent.model_errors import pause_before_retry, translate
from orchestrator.agent.models import Models
from orchestrator.agent.parts import arguments_of, from_json
from orchestrator.agent.plan import TodoPlanStore
from orchestrator.agent.policy import approval_reason
from orchestrator.agent.recorder import Recorder
from orchestrator.agent.request import StopSignal, TurnOutcome, TurnRequest, TurnSink
from orchestrator.domain.errors import JidoError, SandboxUnavailable
from orchestrator.domain.history import Answer as UserAnswer
from orchestrator.domain.history import PendingApproval
from orchestrator.domain.message import ToolStatus
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Usage
from orchestrator.domain.turn import TurnError

Run = AgentRun[TurnDeps, Answer]


async def run_turn(
    request: TurnRequest, sink: TurnSink, models: Models, stop: StopSignal | None = None
) -> TurnOutcome:
    """Run `request` to its outcome; everything that happens reaches `sink` on the way.

    Asking `stop` ends it within moments: a running command dies, what was said stays. A failure
    of the model or the sandbox is an outcome, never an exception; failures of the sink are raised.
    """
    walk = _Walk(request, sink)
    work = asyncio.create_task(walk.work(models))
    asked = asyncio.create_task((stop or StopSignal()).wait())
    try:
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and asked.done():
            work.cancel()
            await asyncio.wait({work})
        if work.cancelled() and asked.done():
            reason = asked.result()
            await walk.cut(reason)
            return TurnOutcome(status=reason, usage=walk.usage())
        return work.result()
    finally:
        for task in (work, asked):
            task.cancel()
        await asyncio.gather(work, asked, return_exceptions=True)
        await walk.recorder.deltas.close()


class _Walk:
    """The steps of one turn and what it knows between them."""

    def __init__(self, request: TurnRequest, sink: TurnSink) -> None:
        self.request = request
        history = from_json(request.model_history)
        self.recorder = Recorder(request.turn.id, history, sink)
        workspace = LiveWorkspace(
            request.workspace, LiveOutput(request.turn.id, self.recorder.deltas)
        )
        self.deps = TurnDeps(
            plan=TodoPlanStore(request.todos, sink),
            lua=request.lua,
            workspace=workspace,
            approval=request.approval,
            allowed_tools=request.allowed_tools,
            project_tools=request.project_tools,
            call_tool=request.call_tool,
        )
        self._answers: dict[str, UserAnswer] = {}
        self._spent = RunUsage()
        self._run: Run | None = None
        self._receiving = False
        self._recorded = False
        """Whether the request that comes next is in the history already."""

    @property
    def config(self) -> SessionConfig:
        return self.request.session.config

    def usage(self) -> Usage:
        """Return what this run spent."""
        cost = self._spent.cost
        if self.config.provider in FREE_PROVIDERS:
            known: float | None = 0.0
        else:
            known = None if cost is None else float(cost)
        return Usage(
            input_tokens=self._spent.input_tokens,
            output_tokens=self._spent.output_tokens,
            cost_usd=known,
        )

    async def work(self, models: Models) -> TurnOutcome:
        """Walk to the end; a failure of model or sandbox becomes an outcome."""
        try:
            await self._open_story()
            async with models.open(self.config) as model:
                return await self._try_until_settled(model)
        except JidoError as error:
            return await self._failed(error)
        except WorkspaceError as error:
            return await self._failed(
                SandboxUnavailable(
                    f"The session's sandbox does not answer ({error}). Use /session restart."
                )
            )
        except (AgentRunError, UserError) as error:
            return await self._failed(translate(error, self.config.provider, self.config.model))

    async def _failed(self, error: JidoError) -> TurnOutcome:
        await self.cut("interrupted")
        return TurnOutcome(
            status="failed",
            usage=self.usage(),
            error=TurnError(code=error.code, message=error.detail),
        )

    async def _open_story(self) -> None:
        """Record the prompt; calls that nobody will ever answer are closed first.

        A call left open would otherwise run again by itself.
        """
        left = {call.tool_call_id for call in open_calls(self.recorder.history)}
        # Answers stay for the whole turn; those of calls that ran before are of no more use.
        self._answers = {c: a for c, a in self.request.answers.items() if c in left}
        self.recorder.continues(left)
        if self._answers:
            return
        await self.recorder.cut_tools([], "interrupted")
        prompt = UserPromptPart(content=self.request.turn.prompt)
        await self.recorder.request(ModelRequest(parts=[prompt]))
        self._recorded = True

    async def _try_until_settled(self, model: Model) -> TurnOutcome:
        tries = 0
        while True:
            tries += 1
            before = len(self.recorder.history)
            try:
                return await self._attempt(model)
            except ModelAPIError as error:
                if len(self.recorder.history) > before + 1:
                    tries = 1
                pause = None if self.recorder.streamed else pause_before_retry(error, tries)
                if pause is None or not self._receiving:
                    raise
                told = translate(error, self.config.provider, self.config.model)
                text = f"{told.detail} Trying again in {pause:.1f} s."
                await self.recorder.notice("warning", told.code, text)
                self._recorded = True
                await asyncio.sleep(pause)

    def _start(self, model: Model) -> Any:
        """Return the library's run: it goes on from the last recorded request, or with answers."""
        history: list[ModelMessage] = list(self.recorder.history)
        results: DeferredToolResults | None = None
        if self._answers and not self._recorded:
            approvals = {call: _decision(answer) for call, answer in self._answers.items()}
            results = DeferredToolResults(approvals=approvals)
        return shared_agent().iter(
            message_history=history,
            deferred_tool_results=results,
            model=model,
            deps=self.deps,
            workspace=self.deps.workspace,
            model_settings=_settings(self.config),
            usage=self._spent,
            usage_limits=_limits(self.request),
        )

    async def _attempt(self, model: Model) -> TurnOutcome:
        with warnings.catch_warnings():
            # Said to the reader instead, who would not see the library's warning.
            warnings.simplefilter("ignore", CostNotFoundWarning)
            return await self._walk(model)

    async def _walk(self, model: Model) -> TurnOutcome:
        async with self._start(model) as run:
            self._run = run
            node = run.next_node
            while not isinstance(node, End):
                if Agent.is_model_request_node(node):
                    await self._ask(run, node)
                elif Agent.is_call_tools_node(node):
                    await self._use_tools(run, node)
                node = await run.next(node)
            output = run.result.output if run.result is not None else ""
        await self.recorder.deltas.flush()
        if self.request.max_cost_usd is not None and self.usage().cost_usd is None:
            name = self.config.qualified
            text = f"The price of {name} is not known: the limit of money was not enforced."
            await self.recorder.notice("warning", "price_unknown", text)
        if isinstance(output, DeferredToolRequests):
            return await self._suspended(run, output)
        return TurnOutcome(status="completed", usage=self.usage())

    async def _ask(self, run: Run, node: Any) -> None:
        """Send one request and pass the answer's pieces on."""
        if self._recorded:
            self._recorded = False
        else:
            await self.recorder.request(node.request)
        self._receiving = True
        async with node.stream(run.ctx) as stream:
            async for event in stream:
                if isinstance(event, PartStartEvent):
                    await self._piece(event.part)
                elif isinstance(event, PartDeltaEvent):
                    await self._piece(event.delta)

    async def _piece(self, piece: object) -> None:
        match piece:
            case TextPart(content=text):
                await self.recorder.text(text)
            case ThinkingPart(content=text):
                await self.recorder.text(text, reasoning=True)
            case TextPartDelta(content_delta=text):
                await self.recorder.text(text)
            case ThinkingPartDelta(content_delta=str(text)):
                await self.recorder.text(text, reasoning=True)
            case _:
                pass

    async def _use_tools(self, run: Run, node: Any) -> None:
        """Record the answer and run the tools it asks for."""
        if self._receiving:
            await self.recorder.response(node.model_response)
        self._receiving = False
        async with node.stream(run.ctx) as stream:
            async for event in stream:
                if isinstance(event, FunctionToolCallEvent):
                    await self.recorder.called(event.part)
                elif isinstance(event, FunctionToolResultEvent):
                    call_id = event.part.tool_call_id
                    await self.recorder.returned(
                        event.part,
                        self.deps.elapsed_ms.get(call_id, 0),
                        timed_out=call_id in self.deps.workspace.timed_out,
                    )

    async def _suspended(self, run: Run, waiting: DeferredToolRequests) -> TurnOutcome:
        last = run.all_messages()[-1]
        if isinstance(last, ModelRequest) and results_of(last):
            await self.recorder.request(last)
        grants = {tool.name: tool.grant for tool in self.deps.project_tools}
        approvals = [
            PendingApproval(
                call_id=call.tool_call_id,
                tool=call.tool_name,
                arguments=arguments_of(call),
                reason=approval_reason(call.tool_name),
                grant=grants.get(call.tool_name),
            )
            for call in waiting.approvals
        ]
        return TurnOutcome(status="awaiting_approval", usage=self.usage(), approvals=approvals)

    async def cut(self, status: ToolStatus) -> None:
        """Keep what a stopped or failed step had done so far."""
        last = self._run.all_messages()[-1] if self._run and self._run.all_messages() else None
        if self._receiving:
            if isinstance(last, ModelResponse):
                await self.recorder.cut_response(last)
            return
        finished: list[ToolReturnPart] = []
        if isinstance(last, ModelRequest) and last.state == "interrupted":
            finished = results_of(last)
        await self.recorder.cut_tools(finished, status)


def _decision(answer: UserAnswer) -> bool | ToolApproved | ToolDenied:
    if answer.decision != "deny":
        return True
    reason = f" They said: {answer.reason}" if answer.reason else ""
    return ToolDenied(f"The user denied this call.{reason}")


def _settings(config: SessionConfig) -> ModelSettings:
    settings = ModelSettings(cache=True) if config.provider != "offline" else ModelSettings()
    if config.temperature is not None:
        settings["temperature"] = config.temperature
    if config.max_tokens is not None:
        settings["max_tokens"] = config.max_tokens
    return settings


def _limits(request: TurnRequest) -> UsageLimits:
    cost = request.max_cost_usd
    return UsageLimits(
        request_limit=request.max_model_requests,
        cost_limit=None if cost is None else Decimal(str(cost)),
    )
