"""The completeness proof: outboxes, topics and inboxes hold the same events, in the same order."""
