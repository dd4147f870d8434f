"""`manage.py grant_relay ROLE`: give a role of the database what the relay needs, and nothing else."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections, router
from psycopg import sql

from waybill.outbox import rights
from waybill.outbox.models import OutboxEvent


class Command(BaseCommand):
    """Grant; as the owner of the tables, which is whom `migrate` runs as."""

    help = "Give a role of the database what the relay needs: CREATE ROLE it first, with LOGIN and a password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the role."""
        parser.add_argument("role", help="as in bookings_relay")

    def handle(self, *_: str, role: str, **__: Any) -> None:
        """Grant, or say why not."""
        connection = connections[router.db_for_write(OutboxEvent)]
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_database(), current_schema()")
                database, schema = map(sql.Identifier, cursor.fetchone())
                names = {"database": database, "schema": schema, "role": sql.Identifier(role)}
                cursor.execute(sql.SQL(rights.RELAY).format(**names).as_string(cursor.connection))
        except DatabaseError as error:
            raise CommandError(f"{role!r} was given nothing: {error}".strip()) from None
        self.stdout.write(f"{role} may relay the outbox of {connection.alias!r}")
