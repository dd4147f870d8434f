"""Sagas on Temporal, in the environment that `temporal.txt` names: local activities, workflows outside the sandbox."""

import asyncio
import json
import os
import sys
import time
import uuid
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "sagas"
LONGEST = timedelta(seconds=30)


@activity.defn
async def reserve(order_id: str) -> str:
    """Hold the stock."""
    return f"reserved {order_id}"


@activity.defn
async def charge(order_id: str) -> str:
    """Take the money."""
    return f"charged {order_id}"


@activity.defn
async def confirm(order_id: str) -> str:
    """Tell that all is done."""
    return f"confirmed {order_id}"


@workflow.defn
class Saga:
    """Reserve, charge, confirm."""

    @workflow.run
    async def run(self, order_id: str) -> str:
        """Take an order to its end."""
        for step in (reserve, charge):
            await workflow.execute_local_activity(step, order_id, start_to_close_timeout=LONGEST)
        return await workflow.execute_local_activity(confirm, order_id, start_to_close_timeout=LONGEST)


async def carry(client: Client, sagas: int, in_flight: int) -> list[float]:
    """Run so many sagas, so many at a time; returns the seconds of each."""
    numbers, seconds = iter(range(sagas)), []

    async def one_after_the_other() -> None:
        for _ in numbers:
            order_id, started = str(uuid.uuid4()), time.perf_counter()
            await client.execute_workflow(Saga.run, order_id, id=order_id, task_queue=QUEUE)
            seconds.append(time.perf_counter() - started)

    await asyncio.gather(*(one_after_the_other() for _ in range(in_flight)))
    return seconds


async def main() -> None:
    """Work, and run what is asked for."""
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[Saga],
        activities=[reserve, charge, confirm],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=200,
        max_concurrent_local_activities=200,
        max_cached_workflows=1000,
    )
    async with worker:
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            print(json.dumps({"seconds": await carry(client, asked["sagas"], asked["in_flight"])}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
