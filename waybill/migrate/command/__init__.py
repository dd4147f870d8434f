"""`python -m waybill migrate VERB`: how a project's rows come to a service, step by step.

`entry` has the arguments and the exit codes; the verbs stand in a module for each stretch of the way. What they stand
on is imported when they run, for Django has its settings only then.
"""
