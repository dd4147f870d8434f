"""What the project's saga tells of orders, by all services' databases together, as `outbox order` does."""

from collections.abc import Mapping, Sequence

from django.http import HttpRequest

from console_service.web.databases import together, unreached
from outbox_relay.operations.sagas import story, waiting
from outbox_relay.operations.sagas.project import of_project
from outbox_relay.operations.sagas.story import Story
from outbox_relay.operations.sagas.waiting import Waiting

AWAY = "its database is not reached by the console"


def story_of(request: HttpRequest, key: str) -> Story | None:
    """Return the whole story of one; None where the project names no saga, or no database that is reached has it."""
    saga = of_project()
    if saga is None:
        return None
    parts = story.services(saga)
    with together(parts, unreached(request)) as connections:
        away = {one: AWAY for one in parts if one not in connections}
        return story.story(saga, connections, away, key) if connections else None


def waiting_of(request: HttpRequest, keys: Sequence[str]) -> Mapping[str, Waiting]:
    """Return why each of these waits, of those that do; of one that nobody can tell of, nothing."""
    saga = of_project()
    if saga is None or not keys:
        return {}
    parts = story.services(saga)
    with together(parts, unreached(request)) as connections:
        away = {one: AWAY for one in parts if one not in connections}
        return waiting.judged(saga, connections, away, keys) if connections else {}
