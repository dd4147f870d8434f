"""Faults that an operator has to mend: each does its harm, and then runs the commands that the runbook names."""

from random import Random

from psycopg import sql

from tests.chaos.stage import SERVICES, Stage
from tests.chaos.standby import standby

# The table that a service's programs write with every order, beside its inbox and outbox.
TABLES = {"order": "orders", "inventory": "reservations", "payment": "payments", "notification": "notifications"}
SECONDS = 4.0


def lose_rights(stage: Stage, rng: Random) -> bool:
    """Take a service's role the rights on its own table, as a restore without privileges does; then migrate."""
    service = rng.choice(SERVICES)
    names = {"table": sql.Identifier(TABLES[service]), "role": sql.Identifier(f"{service}_service")}
    with stage.superuser(service) as session:
        session.execute(sql.SQL("REVOKE ALL ON {table} FROM {role}").format(**names))
        stage.hold(SECONDS)
    stage.migrate(service)
    return True


def lead_to_standby(stage: Stage, rng: Random) -> bool:
    """Lead a service's programs to a standby, as a name does that was not moved yet after a failover."""
    link = f"{rng.choice(SERVICES)}.postgres"
    with standby(stage) as server:
        stage.proxy.lead(link, server.port)
        stage.hold(SECONDS)
        stage.proxy.lead(link, stage.proxy.targets[link])
    return True
