"""The whole of Waybill on one machine, every part real, no containers.

`parts.py` says what the stack consists of, `stack.py` starts and stops it, `supervisor.py` keeps it running.
Programs are started as `python -m ...` and told everything by environment variables: nothing of theirs is imported.
"""
