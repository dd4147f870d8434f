"""Who owns an aggregate's rows, of two databases that both hold them; and how that is handed over and back.

**Model.** Two *sides* are alike: a project with its tables, its outbox, its mapping, the same aggregate by the same
name and the same event. The owner captures and tells; the other side applies what it is told, and its triggers refuse
every other write (`refusing`). A row a side says who owns, with an *epoch* that rises by one with each handover.
`handover` gives it up on the owner's side, `completing` lets the other one take it; back is the same with the sides
exchanged, until `finishing`.

**Relied on.** Ownership is given up in one commit, under locks that keep writers out, and only once the other side has
every row and the version of every last event. It is taken in a later commit on the other side. Between the two nobody
owns; at no time both do. A server that loses a commit which it has answered, as a standby without it that is promoted,
breaks that.

**On failure.** Before that commit: the old state. After it: the row says `leaving`, and whoever comes next completes.

docs/decisions/0055 has what was rejected.
"""
