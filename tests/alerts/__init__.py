"""The alert rules, tried on what the programs really exported while each outage lasted.

    python -m tests.alerts            record every outage anew, into recordings/ (make record-alerts)
    python -m tests.alerts --only …   those whose name has one of the words

An outage is a situation of the night (tests/e2e/night), or one of outages.py, held for as long as its alerts need. A
recording has the series that the rules read, one sample every INTERVAL_SECONDS, as Prometheus would have stored them.
"""
