"""A run as the server sees it: the app, its checkpoints, its figures and its report."""
