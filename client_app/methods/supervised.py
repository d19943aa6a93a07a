"""Baselines whose nodes only learn from labels: local, anchors-only, FedAvg (McMahan et al. 2017) and centralised.

They differ in what travels, which the server's side of each method decides.
"""

from __future__ import annotations

from client_app.methods.method import Method


class Supervised(Method):
    """Cross-entropy on labelled samples and public anchors."""


class Local(Supervised):
    """The same, with a head of the node's own."""

    keeps_heads = True


class AnchorsOnly(Local):
    """Cross-entropy on the node's public anchors alone."""

    learns_from_samples = False


class Centralised(Supervised):
    """The same on all data in one place."""

    pooled = True
