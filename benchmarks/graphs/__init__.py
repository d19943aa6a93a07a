"""Parties that share out a graph: STAGE beside its peers, under each drift of semantics."""
