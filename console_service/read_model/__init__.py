"""From the events of all topics to the rows that the screens show.

Topics are read side by side, so an order's events come in any sequence but that of each aggregate. A row therefore
keeps the version up to which each of its three tellers (order, stock, payment) was heard, and an older event changes
nothing: events may come twice, late, or all again.
"""
