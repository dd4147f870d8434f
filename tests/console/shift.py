"""Who is on the night shift: an operator at a terminal, and one in a browser; and what each did to find and to mend."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.console.browser import Browser
from tests.e2e.night.operator import Operator

FIND_SECONDS = 150  # a minute is usual, and no fault; then it is one, and the heartbeats' 15 s come on top


@dataclass(frozen=True)
class Incident:
    """What went wrong, as an operator is told of it, and how it is mended.

    `problem` and `service` are those of the finding; `says`: a pattern in what it says. `in_terminal` and `in_browser`
    mend it by commands and clicks; None: nothing in the system can, `outside` brings a part back, which counts as one
    command. `over` tells whether all is well again. `shows`: name and address of pages that are photographed before.
    """

    problem: str
    service: str | None
    says: str
    over: Callable[[], Any]
    outside: Callable[[], None] | None = None
    in_terminal: "Callable[[Terminal], None] | None" = None
    in_browser: Callable[[Browser], None] | None = None
    shows: Mapping[str, str] = field(default_factory=dict[str, str])


class Medium(Protocol):
    """What an operator sits in front of."""

    name: str

    def look(self) -> None:
        """Go to the place where one looks first; counted."""
        ...

    def finds(self, incident: Incident) -> bool:
        """Tell whether that place names the incident now; not counted, it is the same look."""
        ...

    def mend(self, incident: Incident) -> None:
        """Do what is done there."""
        ...

    @property
    def actions(self) -> int:
        """Return how many commands, or clicks and fields, there were."""
        ...


class Terminal:
    """The `outbox` command."""

    name = "terminal"

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self.actions = 0

    def look(self) -> None:
        """Run `outbox doctor`."""
        self.actions += 1

    def findings(self) -> list[dict[str, Any]]:
        """Return what it says now."""
        return self._operator.json("doctor")

    def finds(self, incident: Incident) -> bool:
        """Tell whether it names the incident."""
        return any(
            one["problem"] == incident.problem and one["service"] == incident.service and incident.says in one["says"]
            for one in self.findings()
        )

    def mend(self, incident: Incident) -> None:
        """Run the commands."""
        if incident.in_terminal is None:
            self.actions += 1
            assert incident.outside is not None
            incident.outside()
        else:
            incident.in_terminal(self)

    def run(self, *arguments: str) -> None:
        """Run one command, which must succeed."""
        self.actions += 1
        self._operator.done(*arguments)


class Console:
    """The console's overview, and the screens that it leads to."""

    name = "browser"

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    @property
    def actions(self) -> int:
        """Return clicks and fields so far."""
        return self.browser.actions

    def look(self) -> None:
        """Open the overview, which refreshes itself."""
        self.browser.actions += 1
        self.browser.open("/")

    def finds(self, incident: Incident) -> bool:
        """Tell whether it names the incident."""
        texts = self.browser.finding(incident.problem).all_inner_texts()
        return any(incident.says in text and (incident.service or "") in text for text in texts)

    def mend(self, incident: Incident) -> None:
        """Click, or have done outside what no page can."""
        if incident.in_browser is None:
            self.browser.actions += 1
            assert incident.outside is not None
            incident.outside()
        else:
            incident.in_browser(self.browser)
