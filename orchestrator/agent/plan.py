"""The task list of a session as the planning tool's storage.

Owns the mapping between the agent library's plan and our task list; every
change reaches the sink. Refuses subtasks, which clients do not show.
"""

from __future__ import annotations

from typing import Final

from pydantic_ai_harness.planning import InMemoryPlanStore, PlanItem, TaskStatus

from orchestrator.agent.request import TurnSink
from orchestrator.domain.message import Todo

MAX_TODOS: Final = 200
"""Entries of one task list; further ones are dropped."""

MAX_TODO_CHARACTERS: Final = 2000
"""Characters of one entry; the rest is cut."""


class TodoPlanStore(InMemoryPlanStore):
    """Keeps the plan of a turn and hands each change on."""

    def __init__(self, todos: list[Todo], sink: TurnSink) -> None:
        super().__init__()
        self._items = [_item(todo) for todo in todos]
        self._sink = sink

    async def set_items(self, items: list[PlanItem]) -> None:
        """Replace the plan; the only change that the offered tool makes."""
        await super().set_items(items[:MAX_TODOS])
        await self._sink.todos([_todo(item) for item in await self.get_items()])


def _item(todo: Todo) -> PlanItem:
    return PlanItem(
        id=todo.id,
        content=todo.content,
        status=TaskStatus(todo.status),
        active_form=todo.active_form,
    )


def _todo(item: PlanItem) -> Todo:
    status = "pending" if item.status is TaskStatus.blocked else item.status.value
    return Todo.model_validate(
        {
            "id": item.id[:64],
            "content": item.content[:MAX_TODO_CHARACTERS],
            "status": status,
            "active_form": item.active_form[:MAX_TODO_CHARACTERS],
        }
    )
