"""Reads of a standby, as many projects have them."""


class ReadsOfReplica:
    def db_for_read(self, _model, **_):
        return "replica"

    def db_for_write(self, _model, **_):
        return "default"
