"""The project's own tools beside the agent's: offered for the length of one turn.

Owns how they look to the model and that arguments are checked before a call. Refuses to know
where they come from: `TurnDeps` carries those that the user trusts, and what calls them.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.tools import RunContext, ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

from orchestrator.agent.deps import TurnDeps
from orchestrator.agent.lua_tool import answer_of
from orchestrator.domain.errors import InvalidArgument
from orchestrator.domain.project_tools import ProjectTool, check_arguments

MAX_RETRIES: Final = 5
"""Calls in a row with wrong arguments that the model may correct before the turn fails."""


class ProjectToolset(AbstractToolset[TurnDeps]):
    """What the current turn's project brings along; nothing for most."""

    @property
    def id(self) -> str:
        """A name for messages of the library."""
        return "project_tools"

    async def get_tools(self, ctx: RunContext[TurnDeps]) -> dict[str, ToolsetTool[TurnDeps]]:
        """Return this turn's tools."""
        return {tool.name: self._offered(tool) for tool in ctx.deps.project_tools}

    def _offered(self, tool: ProjectTool) -> ToolsetTool[TurnDeps]:
        definition = ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=tool.parameters,
        )
        return ToolsetTool(
            toolset=self,
            tool_def=definition,
            max_retries=MAX_RETRIES,
            args_validator=_validator(tool),
        )

    async def call_tool(
        self,
        name: str,
        tool_args: dict[str, Any],
        ctx: RunContext[TurnDeps],
        tool: ToolsetTool[TurnDeps],
    ) -> str:
        """Run the tool in the sandbox; its failure is told to the model."""
        if ctx.deps.call_tool is None:
            raise ToolFailed(f"{name} is not available in this turn.")
        return answer_of(ctx, await ctx.deps.call_tool(name, tool_args))


def _validator(tool: ProjectTool) -> SchemaValidator:
    def checked(arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            check_arguments(tool, arguments)
        except InvalidArgument as error:
            raise PydanticCustomError("arguments", "{fault}", {"fault": error.detail}) from error
        return arguments

    anything = core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())
    return SchemaValidator(core_schema.no_info_after_validator_function(checked, anything))
