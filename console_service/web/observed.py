"""Which series the web program exposes, from its start."""

from importlib.metadata import version

from waybill.database.side_session import SideSession
from waybill.observability import metrics
from waybill.observability.exposure import REFUSALS
from waybill.observability.metrics import METRICS
from waybill.observability.sampling import Sampler


def expose(session: SideSession) -> None:
    """Register them, and fill those that the console's database knows at each scrape."""
    known = {
        **dict.fromkeys(METRICS, ()),
        "http_refused_total": [{"reason": reason} for reason in REFUSALS],
        "waybill_build_info": [],
        "waybill_database_up": [{"service": "console_service"}],
    }
    metrics.expose("web", known)
    metrics.put("waybill_build_info", 1, version=version("waybill"))
    metrics.on_scrape(Sampler("console_service", session, ()).refresh)
