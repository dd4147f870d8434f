"""What every row of a service is: an aggregate's, or a copy of another service's data."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models


class AggregateRow(models.Model):
    """One row an aggregate: what its events fold to, and how many there are."""

    aggregate_type: ClassVar[str]
    open_statuses: ClassVar[Sequence[str]] = ()
    """In which something is still to happen; there is an index of these rows alone, so counting them is cheap."""
    end_statuses: ClassVar[Sequence[str]] = ()
    """In which the aggregate has ended; how long that took is measured."""
    unmeasured_statuses: ClassVar[Sequence[str]] = ()
    """Of these, those in which it ended elsewhere: how long that took says nothing of the service."""

    version: "models.IntegerField[int, int]" = models.IntegerField(default=0)
    created_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    updated_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()

    class Meta:
        abstract = True

    @classmethod
    def kept(cls) -> timedelta | None:
        """Return how long a row is kept once the aggregate has ended; None: for ever. Its events stay in any case."""
        return None

    @property
    def has_ended(self) -> bool:
        """Tell whether the aggregate stands in one of its end statuses."""
        return getattr(self, "status", None) in self.end_statuses

    @property
    def is_measured(self) -> bool:
        """Tell whether it has ended, and how long that took is of interest."""
        return self.has_ended and getattr(self, "status", None) not in self.unmeasured_statuses


class CopyRow(models.Model):
    """One row of another service's data, kept from the events of one aggregate.

    What is gone there stays here as a row that says so: a row that were deleted would come back with an older event.
    """

    # The version of that aggregate. 0: kept before versions were, and taken for older than any.
    source_version: "models.IntegerField[int, int]" = models.IntegerField(db_default=0)

    class Meta:
        abstract = True
