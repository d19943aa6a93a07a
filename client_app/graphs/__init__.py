"""A party to a graph: its networks, its training, and its part of a round."""
