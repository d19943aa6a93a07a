"""Retrieval between pictures and names of emoji, on concepts that no node has seen."""
