"""What every program stands on: a library that knows no service.

A service has three entry points (api, reactions, worker), one way through (`deciders.unit_of_work.handle`) and one way
out (the outbox). No word of an application's domain occurs here.
"""
