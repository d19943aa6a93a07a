"""Self-training: GeoLoRA's pseudo-labels on each node alone, without any exchange.

The control that tells what of GeoLoRA's gain without labels comes from the federation.
"""

from __future__ import annotations

from client_app.methods.geolora import GeoLora


class SelfTraining(GeoLora):
    """GeoLoRA's objective with a head of the node's own; nothing is ever agreed on."""

    keeps_heads = True
