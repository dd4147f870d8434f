"""What goes wrong with a service's database."""

import subprocess
import threading
from collections.abc import Generator

from devstack import parts
from devstack.harness.stack import CHECKOUT
from devstack.services import SERVICES
from tests.chaos.standby import standby
from tests.e2e.night.operator import REPAIR_SECONDS, Operator, key
from tests.e2e.night.situations import Look, situation


def dead_letters(op: Operator) -> int:
    return sum(
        n for service in tuple(SERVICES) for (n,) in op.sql(service, "SELECT count(*) FROM received WHERE status = -1")
    )


@situation("a right lost in a restore", signal="/readyz of payment.consumer", remedy="migrate")
def right_lost(op: Operator) -> Generator[Look]:
    sku = op.product()
    op.sql("payment", "REVOKE ALL ON payments FROM payment_service")
    order_id = op.order(sku)
    yield lambda: "permission denied" in op.ready("payment.consumer")
    op.stage.migrate("payment")
    yield lambda: op.at_rest(order_id) == "CONFIRMED" and not dead_letters(op)


@situation("an identity set back by a switch-over", signal="/readyz of inventory.relay", remedy="setval, as it says")
def identity_set_back(op: Operator) -> Generator[Look]:
    sku = op.product()
    op.sql("inventory", "SELECT setval('waybill_outbox_position_seq', 1, false)")
    order_id = op.order(sku)
    yield lambda: "setval('waybill_outbox_position_seq'" in op.ready("inventory.relay")
    ((last,),) = op.sql("inventory", "SELECT max(position) FROM waybill_outbox")
    op.sql("inventory", "SELECT setval('waybill_outbox_position_seq', %s)", last)
    yield lambda: op.at_rest(order_id) == "CONFIRMED" and not dead_letters(op)


@situation("a column that is missing", signal="/readyz of payment.consumer", remedy="the column")
def column_missing(op: Operator) -> Generator[Look]:
    sku = op.product()
    op.sql("payment", "ALTER TABLE payments RENAME COLUMN status TO away")
    order_id = op.order(sku)
    yield lambda: "does not exist" in op.ready("payment.consumer")
    op.sql("payment", "ALTER TABLE payments RENAME COLUMN away TO status")
    yield lambda: op.at_rest(order_id) == "CONFIRMED" and not dead_letters(op)


@situation("a name that leads to a demoted server", signal="/readyz of order.web", remedy="the name", needs_links=True)
def demoted_server(op: Operator) -> Generator[Look]:
    sku = op.product()
    with standby(op.stage) as server:
        op.stage.proxy.lead("order.postgres", server.port)
        body = {"lines": [{"sku": sku, "quantity": 1}], "payment_method": "tok_ok"}
        with op.stack.client("order") as client:
            answers = {client.post("/v1/orders", json=body, headers=key()).status_code for _ in range(20)}
        assert answers == {503}, answers
        yield lambda: op.ready("order.web")
        op.stage.proxy.lead("order.postgres", op.stage.proxy.targets["order.postgres"])
        yield lambda: not op.ready("order.web") and op.confirmed(sku)


@situation("defaults of an administrator's", signal="nothing: orders go through", remedy="nothing")
def hostile_defaults(op: Operator) -> Generator[Look]:
    sku = op.product()
    settings = {"DateStyle": "'SQL, DMY'", "IntervalStyle": "'sql_standard'", "TimeZone": "'Asia/Kathmandu'"}
    try:
        for service in tuple(SERVICES):
            for name, value in settings.items():
                op.sql(service, f'ALTER DATABASE "{service}" SET {name} = {value}')
        op.sql("order", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE '%\\_service'")
        yield lambda: op.confirmed(sku)
        yield lambda: op.outbox("list", "--service", "order", "--limit", "1").code == 0
    finally:
        for service in tuple(SERVICES):
            op.sql(service, f'ALTER DATABASE "{service}" RESET ALL')


@situation(
    "a migration behind a session's lock", signal="migrate ends with 4 and names it", remedy="that session's end"
)
def migration_behind_a_lock(op: Operator) -> Generator[Look]:
    environment = parts.inherited() | parts.service_environment(op.stage.site, "order", "migrate")
    command = parts.python("waybill", "order_service", "migrate")
    ended: list[subprocess.CompletedProcess[str]] = []

    def migrate() -> None:
        done = subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=REPAIR_SECONDS, check=False
        )
        ended.append(done)

    with op.stage.superuser("order") as session, session.transaction():
        session.execute("SET application_name = 'a report'")
        session.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        waiting = threading.Thread(target=migrate)
        waiting.start()
        yield lambda: ended and ended[-1].returncode == 4 and "a report" in ended[-1].stdout + ended[-1].stderr
    waiting.join()
    migrate()
    yield lambda: ended[-1].returncode == 0
