"""Sagas on DBOS, in the environment that `dbos.txt` names: a workflow of three steps, called by as many threads."""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, DBOSConfig

config: DBOSConfig = {
    "name": "sagas",
    "system_database_url": os.environ["DBOS_SYSTEM_DATABASE_URL"],
    "sys_db_pool_size": 40,
    "log_level": "ERROR",
    "run_admin_server": False,
}
DBOS(config=config)


@DBOS.step()
def reserve(order_id: str) -> str:
    """Hold the stock."""
    return f"reserved {order_id}"


@DBOS.step()
def charge(order_id: str) -> str:
    """Take the money."""
    return f"charged {order_id}"


@DBOS.step()
def confirm(order_id: str) -> str:
    """Tell that all is done."""
    return f"confirmed {order_id}"


@DBOS.workflow()
def saga(order_id: str) -> str:
    """Take an order to its end."""
    reserve(order_id)
    charge(order_id)
    return confirm(order_id)


def timed(number: int) -> float:
    """Run one saga; returns its seconds."""
    started = time.perf_counter()
    saga(str(number))
    return time.perf_counter() - started


def main() -> None:
    """Run what is asked for."""
    DBOS.launch()
    while line := sys.stdin.readline():
        asked = json.loads(line)
        with ThreadPoolExecutor(asked["in_flight"]) as threads:
            print(json.dumps({"seconds": list(threads.map(timed, range(asked["sagas"])))}), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
