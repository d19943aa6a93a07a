"""A node: its data, its model and its local training."""
