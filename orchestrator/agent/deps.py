"""What the tools of a running turn reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.agent.live import LiveWorkspace
from orchestrator.agent.plan import TodoPlanStore
from orchestrator.agent.request import Approval, LuaRunner, ToolCaller
from orchestrator.domain.project_tools import ProjectTool


@dataclass(kw_only=True)
class TurnDeps:
    """One turn's own things; the agent itself is shared by all turns of a process."""

    plan: TodoPlanStore
    lua: LuaRunner
    workspace: LiveWorkspace
    approval: Approval
    allowed_tools: frozenset[str]
    project_tools: Sequence[ProjectTool] = ()
    call_tool: ToolCaller | None = None
    """None when there are no `project_tools`."""
    elapsed_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds of each call that ran, by call."""
    job_cursors: dict[str, int] = field(default_factory=dict)
    """Bytes of a job's output that the model was shown in this turn, by job."""
