"""A node's data: raw packs, their features, and how a suite deals them out to nodes, tests and public anchors."""
