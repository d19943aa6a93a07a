"""What agents without a server reach: PARSE beside its peers, its overlays in theory and practice, and its scale."""
