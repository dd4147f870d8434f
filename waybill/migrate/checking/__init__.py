"""What a project needs before any of its rows move, each looked at and not asked: `waybill migrate check`.

A part that cannot be looked at from here says so and counts as neither: whether backups are taken elsewhere, say.
"""
