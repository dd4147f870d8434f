"""Orders on DBOS: the workflow's id is the idempotency key's, each step is a function of `steps.py`."""

import asyncio
import os
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID
from steps import Steps, function
from web import application, serve

config: DBOSConfig = {
    "name": "orders",
    "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"],
    "sys_db_pool_size": 40,
    "log_level": "ERROR",
    "run_admin_server": False,
}
DBOS(config=config)
steps = Steps()

place = DBOS.step()(function(steps.place))
reserve = DBOS.step()(function(steps.reserve))
mark_reserved = DBOS.step()(function(steps.mark_reserved))
charge = DBOS.step()(function(steps.charge))
confirm = DBOS.step()(function(steps.confirm))
commit_stock = DBOS.step()(function(steps.commit_stock))
tell = DBOS.step()(function(steps.tell))


@DBOS.workflow()
def saga(order: dict[str, Any]) -> None:
    """Take an order to its end."""
    priced = place(order)
    reserve(priced)
    mark_reserved(priced)
    confirm(priced, charge(priced))
    commit_stock(priced)
    tell(priced)


async def begin(order: dict[str, Any]) -> None:
    """Start the workflow; a key that comes again finds the one that is there."""
    with SetWorkflowID(order["id"]):
        await asyncio.to_thread(DBOS.start_workflow, saga, order)


if __name__ == "__main__":
    DBOS.launch()
    asyncio.run(serve(application(begin)))
