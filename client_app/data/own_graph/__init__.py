"""A user's own graph: each party's part of it is a folder of tables."""
