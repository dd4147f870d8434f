"""The way of a project's rows to a service: `python -m waybill migrate VERB`, and the Django app of its tables.

**Model.** An aggregate is a row of one table with its child rows. What leaves the project is its present state, as one
full event on the outbox that is there already. Triggers write only the *key* of what changed into a queue, in the
writer's own transaction (`capture`); a program takes keys, reads each aggregate as it stands then, and appends its
event (`appending`). The backfill puts every key into the same queue (`backfill`), so there is one way for rows that
are old and rows that change, and no seam between them.

**Relied on.** A key is taken from the queue in one statement and its aggregate read in a later one, so the state that
is read has every change whose key was taken. A change that commits later has a key of its own in the queue. Between
the two a lock on the key is held until the commit, so a second program cannot append an older state after a newer one.
Queue, digest of the last state and event are written in one transaction.

Who owns the rows, and how that is handed over, is in `ownership`; what is not owned here is not told from here.

**On failure.** Killed at any point, the transaction is undone and the keys are in the queue as before. State that is
the same as the last one appends nothing, so everything may be done twice. A row that the mapping refuses is set aside
with its reason and holds up nothing but itself; its next change tries it again, and so does each start of the program.

docs/decisions/0053 has what was rejected: row images, Avro in PL/pgSQL, logical decoding.
"""
