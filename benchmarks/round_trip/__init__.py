"""What a message to a node costs in a deployment: by payload, by layout, and phase by phase."""
