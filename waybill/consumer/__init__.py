"""Events in: poll, drain, hand over, commit offsets after the database.

    loop          poll, hand over, retry, commit
    polling       records and errors, as the client gives them
    broker_health whether the broker answers, by the client's statistics
    message       one record: its bytes, and what is read from them
    schema_ids    from a framed value to an event
    subscriber    what reacts to events: a service, or a project's handlers
    handling      a batch in one transaction; dead letters
    starts        where partitions are read on, and what is missing before that
    positions     how far partitions were read, in the database
    gap           what is missing, and how to get it back
    skips         records that operators decided to pass over
    registered    dead letters whose schema id is registered by now
    housekeeping  removes what is old

The model. A batch is what the broker has ready: one poll for the first message, then a drain that does not wait. Types
that nobody here reacts to, and a replay's records that name another group, are passed by their headers, before decoding
and without an inbox row. The others become commands, and inbox rows, changed rows and new events commit in one
transaction. Offsets are committed after that, once a second: a crash in between brings the batches again, and the inbox
drops them. After a batch the next one is not begun at once, but the later the more messages it handled (`batch_seconds`
at most): under load more comes together, and a transaction costs about the same for one message as for twenty. One
alone waits for nothing.

Failures are of two kinds; waybill/database/sqlstate.py tells which a database error is.
- The environment fails (database away, a right or a table missing): nothing is counted against any message. The
  partitions are paused, so that the group keeps its member, and the same batch is tried again until it goes through.
- One message is broken (unreadable, refused, or a defect in a reaction): the batch is rolled back and gone through
  one by one; the one that fails is retried a few times and then becomes a dead letter, and later messages of its key
  become dead letters behind it. All other keys flow. One whose schema id is not registered yet is a dead letter too,
  redriven within seconds once the id is: no other key waits for it, and no clock but the database's counts.
Where most keys would be blocked by a dead letter (`dead_letter_limit`), the code is at fault and not the messages: the
consumer stands still, as if the environment failed, until another version handles what this one cannot. What counts are
the last rows of the inbox, so a restart does not begin to count anew.

What is relied on: one partition has one consumer of the group at a time, mostly. Where a rebalance makes it two for a
moment, the inbox's unique id and the row locks decide, not Kafka.

Rejected alternatives: one transaction a message (340 events/s against 6,600 in batches of 200); `consume(n, timeout)`,
which waits the whole time-out unless n messages came; storing offsets before the database.
"""
