"""All use cases of one api process, made of a store and the settings.

Owns which service gets which. Refuses to open anything: the store comes open.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.archive.archive import Archive
from orchestrator.services.execution import ExecutionService
from orchestrator.services.following import FollowService
from orchestrator.services.health import HealthService
from orchestrator.services.model_choice import ModelService
from orchestrator.services.saved import SavedService
from orchestrator.services.saving import Saving
from orchestrator.services.sessions import SessionService
from orchestrator.services.starting import Starter
from orchestrator.services.transfer import TransferService
from orchestrator.services.turns import TurnService
from orchestrator.settings import Settings
from orchestrator.store.facade import Store


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the api can be asked to do."""

    sessions: SessionService
    turns: TurnService
    saved: SavedService
    saving: Saving
    transfer: TransferService
    execution: ExecutionService
    following: FollowService
    models: ModelService
    health: HealthService


def build_services(store: Store, settings: Settings) -> Services:
    """Return the use cases over an open store."""
    archive = Archive(settings.home)
    starter = Starter(store, settings)
    models = ModelService(store, settings)
    turns = TurnService(store)
    saving = Saving(store, archive)
    sessions = SessionService(store, starter, models, turns, saving)
    return Services(
        sessions=sessions,
        turns=turns,
        saved=SavedService(store, archive, starter, sessions),
        saving=saving,
        transfer=TransferService(store, archive),
        execution=ExecutionService(store, settings),
        following=FollowService(store),
        models=models,
        health=HealthService(store, settings),
    )
