"""Django's own test suites on `waybill.rest_backend`, against a generic server of the collection contract.

`python -m tests.support.django_suites` (`make django-suites`) runs them; the tests come from the sdist of the Django
that uv.lock names, and none of them stands here. Three kinds of processes:

- one for each suite and database alias that serves every model of the suite's apps by `waybill.rest.collections`, from
  a PostgreSQL database of its own (`server`);
- one for each suite that runs Django's `tests/runtests.py` with `on_services` as its settings, and writes down what
  became of each test (`runner`);
- this one, which starts them (`suites`) and holds the outcomes against `expected.toml` (`verdicts`).
"""
