"""What every page has in common.

project      Django's settings of the web program
requests     around each request: an id, a log line, a place in the metrics
access       who is signed in, and as what
page         decorator of a screen: roles, the banner, ETag
action       what changes something: POST, reason, dry run, audit
record       who asked for what
databases    the services' databases, asked side by side
paging       tables by cursor
tags         what templates say: times, links, files
assets       the few static files
masking      payloads without what they say
observed     the metrics
"""
