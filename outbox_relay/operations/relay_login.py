"""What keeps a relay without a session out, as far as the server tells others: its role, not its password."""

from typing import Final, NamedTuple

import psycopg
from psycopg.rows import class_row

# Who may move the cursor is a relay's role, or the owner of the table, which no program uses.
ROLES: Final = """
SELECT role.rolname AS name, current_database() AS database, role.rolcanlogin AS can_log_in,
       coalesce(role.rolvaliduntil < clock_timestamp(), false) AS expired,
       has_database_privilege(role.oid, current_database(), 'CONNECT') AS may_connect,
       nullif(role.rolconnlimit, -1) AS most_sessions,
       (SELECT count(*) FROM pg_stat_activity WHERE usesysid = role.oid) AS sessions,
       (SELECT count(*) FROM pg_stat_activity WHERE usesysid = role.oid AND datname = current_database()) AS here
FROM pg_roles AS role
WHERE role.oid IN (SELECT granted.grantee FROM pg_class AS cursor, aclexplode(cursor.relacl) AS granted
                   WHERE cursor.oid = 'waybill_outbox_cursor'::regclass AND granted.privilege_type = 'UPDATE'
                   AND granted.grantee <> cursor.relowner)
ORDER BY role.rolname
"""
NO_ROLE: Final = (
    "no role may lead: set WAYBILL_RELAY_ROLE and run: python -m waybill SERVICE migrate, or in a Django project "
    "python manage.py grant_relay ROLE"
)


class Role(NamedTuple):
    """A role that a relay logs in with; `here`: its sessions in this database."""

    name: str
    database: str
    can_log_in: bool
    expired: bool
    may_connect: bool
    most_sessions: int | None
    sessions: int
    here: int

    def __str__(self) -> str:
        """Say what keeps it out, and what to do."""
        if not self.can_log_in:
            return f"the role {self.name} may not log in: ALTER ROLE {self.name} LOGIN"
        if self.expired:
            return f"the password of the role {self.name} has expired: ALTER ROLE {self.name} VALID UNTIL 'infinity'"
        if not self.may_connect:
            return (
                f"the role {self.name} may not connect to this database: "
                f'GRANT CONNECT ON DATABASE "{self.database}" TO {self.name}'
            )
        if self.here:
            return f"the role {self.name} has {self.here} sessions here: its relay has logged in, and hangs"
        if self.most_sessions is not None and self.sessions >= self.most_sessions:
            return f"the role {self.name} has all of its {self.most_sessions} sessions elsewhere (CONNECTION LIMIT)"
        return (
            f"the role {self.name} may log in and has no session: its relay does not run, cannot reach the server, or "
            "gives a wrong password; its log says which"
        )


def explain(connection: psycopg.Connection) -> str:
    """Return what keeps relays out of the database, or where it stands. Raises psycopg.Error."""
    with connection.cursor(row_factory=class_row(Role)) as cursor:
        return "; ".join(map(str, cursor.execute(ROLES))) or NO_ROLE
