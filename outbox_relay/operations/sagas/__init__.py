"""Sagas as operators ask of them: the whole story of one, and which wait, since when and for what."""
