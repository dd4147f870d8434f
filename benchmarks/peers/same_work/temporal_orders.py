"""Orders on Temporal: the workflow's id is the idempotency key's, each step is a local activity in a thread."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from steps import Steps, function
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from web import application, serve

QUEUE = "orders"
LONGEST = timedelta(seconds=60)
THREADS = 48
steps = Steps()

place = activity.defn(function(steps.place))
reserve = activity.defn(function(steps.reserve))
mark_reserved = activity.defn(function(steps.mark_reserved))
charge = activity.defn(function(steps.charge))
confirm = activity.defn(function(steps.confirm))
commit_stock = activity.defn(function(steps.commit_stock))
tell = activity.defn(function(steps.tell))


@workflow.defn
class Saga:
    """Place, reserve, charge, confirm, tell."""

    @workflow.run
    async def run(self, order: dict[str, Any]) -> None:
        """Take an order to its end."""
        priced = await self._do(place, order)
        await self._do(reserve, priced)
        await self._do(mark_reserved, priced)
        charge_id = await self._do(charge, priced)
        await self._do(confirm, priced, charge_id)
        await self._do(commit_stock, priced)
        await self._do(tell, priced)

    async def _do(self, step: Any, *given: Any) -> Any:
        return await workflow.execute_local_activity(step, args=given, start_to_close_timeout=LONGEST)


async def main() -> None:
    """Work, and serve."""
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])

    async def begin(order: dict[str, Any]) -> None:
        try:
            await client.start_workflow(
                Saga.run,
                order,
                id=order["id"],
                task_queue=QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
        except WorkflowAlreadyStartedError:
            return

    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[Saga],
        activities=[place, reserve, mark_reserved, charge, confirm, commit_stock, tell],
        activity_executor=ThreadPoolExecutor(THREADS),
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=200,
        max_concurrent_local_activities=THREADS,
        max_cached_workflows=1000,
    )
    async with worker:
        await serve(application(begin))


if __name__ == "__main__":
    asyncio.run(main())
