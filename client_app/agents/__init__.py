"""Agents that learn without a server: their models, which slices of them travel, and the agent itself."""
