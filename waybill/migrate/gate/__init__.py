"""The gate: the gateway asks it before it passes a request on, and it says to which side the request goes, and when.

**Model.** Envoy's `ext_authz` sends method and path of each request here. The answer is 200 with `x-waybill-owner`,
`here` or `there`, by which the gateway chooses the route. While ownership is handed over, what may change something
waits; safe methods are answered at once.

**Relied on.** An answer stands on a row that was read after the question came: nothing is cached. All questions that
come while the row is read are answered by the next reading, so that a thousand that wait cost one SELECT at a time. The
row is read by the clock of its database alone.

**On failure.** While the database is away questions wait, each within its bound, and are then answered 503, which the
gateway passes on as a problem with Retry-After. More than MOST_WAITING that wait are refused at once; those with safe
methods are counted apart, so that what is held never starves what only reads. A gate that is killed has its questions
asked again at another one: asking changes nothing.
"""
