"""The screens, one module each: a question to the databases, what the page shows, and its actions.

How a screen is written:

    # screens/tasks.py
    from console_service.web.action import Action, Asked, Plan, Refused
    from console_service.web.databases import ask, change
    from console_service.web.page import page

    @page("console/tasks.html", "Due tasks")
    def show(request):                                            # GET alone; the role `view`
        return {"tasks": ask(request, tasks.read)}                # an operation: (service, connection) → answer

    def _plan(asked: Asked) -> Plan: ...                          # what would be done; changes nothing
    def _execute(asked: Asked) -> str: ...                        # does it; a sentence on what came of it

    reschedule = Action("reschedule", back="tasks", plan=_plan, execute=_execute)   # POST alone; the role `operate`

- **Addresses** stand in `urls.py`: `path("tasks", tasks.show, name="tasks")` and
  `path("tasks/do/reschedule", tasks.reschedule, name="tasks-reschedule")`. The navigation is `SCREENS` in
  `web/page.py`. A page below a screen gives `"parent": "failures"`, so that the navigation shows where one is.
- **Databases.** `ask(request, question, services=None)` puts a question to all services at once and returns
  service → answer. One that is not reached is in the banner by itself; the screen shows the rest. An answer of the
  console's own read model comes by Django's models. A screen has no SQL on another service's tables: it calls
  `outbox_relay.operations`, as the command does. What changes something goes through `change(service, operation)`,
  which is tried once. `topology()` is for operations that take the whole of it, or the broker.
- **Templates** begin with `{% extends base %}` and have `{% block live %}`: what is refreshed every two seconds. What
  must not be (a filter's form) goes into `{% block above %}` or `{% block below %}`. No `style` attribute, no
  `onclick`, no inline script: the policy forbids them. An age is `{{ at|ago }}` and a time `{{ at|when }}`, never a
  number of seconds that the server counted, or no poll would ever be answered with 304.
- **Filters** are a form with method `get` in `above`, so that they stand in the URL.
- **Tables** go in `<div class="wide" role="region" aria-label="…" tabindex="0">`, page by `web/paging.py`
  (`after`, `rows`, and `{% include "console/pager.html" %}`), and name their columns by `<th scope="col">`.
- **Empty** is a `<p class="empty">` that says what would be here, and when.
- **Actions** are forms with method `post`, `{% csrf_token %}` and a field `reason`, shown `{% if may_operate %}` (the
  view refuses anyway). The operation that they end in writes its own audit row with `by=asked.by` and
  `reason=asked.reason`. Say in `Plan.warning` what could be charged or mailed twice, and let such an effect be asked
  for by a field of its own. `tests/integration/console/test_security.py` tries every Action of `urls.py` by itself,
  without a line for a new one: by GET, without CSRF, with each role.
- **Payloads** pass `masked()` unless `viewer.may(Role.PAYLOAD)`; each look at one that is not masked is recorded by
  `web/record.py`.
- Tests stand in `tests/integration/console/`, and take the fixtures of its `conftest.py`: `console` (Django's test
  client on a read model of its own, signed in with every role), `sign_in(*roles)` for another client, and `services`
  (the real databases of the order and the payment service, which the console then shows).
"""
