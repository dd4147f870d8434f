"""The other side's events become this side's rows, while that side owns them: the way of `appending`, backwards.

**Model.** Both sides have the same kind of aggregate in their mappings, under the same name and with the same event. An
event is the full state of one aggregate: its row and its child rows are written as it says, and what it does not name
is gone. What a column's text becomes in the event is turned back (`inverse`); rows are written set by set (`writing`);
then they are read as `migrate run` reads them, and unless the very same event comes of them, the transaction is undone
and the reason names field and column (`applied`). So nothing is cut off or rounded without a word, and whoever owns the
rows next tells nothing anew of what did not change.

**Relied on.** The events of an aggregate have one sequence of versions, whoever owns it: `waybill_capture_state` keeps
the version of the last one, appended or applied, and an older one changes nothing. It is read under the lock that
`appending` takes of a key. Who owns is read in the same transaction with a lock that a handover waits for.

**On failure.** The transaction is that of the inbox: rows, version and inbox row commit together. What this side cannot
hold (a value, a key that leads nowhere, a second row with a unique value) is a dead letter with its reason, and later
events of that aggregate wait behind it. Rows of other aggregates that it needs may come by another topic and later, so
a missing one is tried again a few times, and is then a dead letter too: waiting for it would hold up the partition in
which it may come. What speaks against the mapping as such, or a side that nobody has chosen yet, stops the consumer and
counts against no event.

docs/decisions/0056 has what was rejected.
"""
