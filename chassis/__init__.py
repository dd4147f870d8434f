"""What every program stands on: no service's word occurs here.

A service is a house with three doors in (api, reactions, worker), one corridor (unit_of_work.handle) and one door out
(the outbox). Imports `schemas`; is imported by the programs.
"""
