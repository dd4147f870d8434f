"""The operators' console: one picture of all services, and the actions that mend what is wrong in them.

Owns: nothing. Its database is a read model of the topics and can be built anew from them.
Topics in: all of the others'.
Topics out: none.

    service      who reads the topics: a subscriber that notes a batch at once
    models       the rows of the read model, and who is signed in
    read_model/  from events to rows; all of it anew, from the topics
    sign_in/     how one signs in and out
    web/         what every page has: roles, actions, the other services' databases
    screens/     one module a screen; how to write one stands there
    urls         which screen is where

It decides nothing, so it has neither domain nor reactions, and imports no service. What stands in the services'
databases it reads and changes by `outbox_relay.operations` alone, as the `outbox` command does.
"""
