"""Features of nodes from their texts, by the frozen encoder that a run names, in place of the vectors that a pack has.

Legend: N nodes, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from client_app.data.graph import GraphSource, NodeGraph, Texts
from concord.errors import ConcordError


def texts_of(source: GraphSource, encoders: Mapping[str, str]) -> Mapping[str, Texts]:
    """The texts that a run needs with these encoders; ConcordError C204 for a modality that has none."""
    for modality, name in encoders.items():
        if modality not in source.texts:
            has = ", ".join(source.texts) or "none"
            what = f"encoders: {modality}={name}, and the modalities of {source.name} that an encoder can read are: {has}"
            raise ConcordError("C204", what, "leave it out: other features of graphs are taken as the data have them")
    return {modality: source.texts[modality] for modality in encoders}


def encode_texts(
    whole: NodeGraph, texts: Mapping[str, Texts], encoders: Mapping[str, str], folder: Path
) -> tuple[NodeGraph, dict[str, str]]:
    """The graph with vectors of length one [N, F] of these texts in place of the features of their modalities.

    Returns:
        It, and by modality the identity of the encoder, weights and all, on which parties must agree.

    Raises:
        ConcordError: C204 for an encoder that is not a frozen one, C103 for one that cannot be used, C202 for a file of texts
            that cannot be read.
    """
    if not texts:
        return whole, {}
    from client_app.encoders.frozen import FROZEN, frozen_encoder  # seconds to import, and few runs need them
    from client_app.pretrained.frozen import text_vectors

    x, present, identities = dict(whole.x), dict(whole.present), {}
    for modality, source in texts.items():
        frozen, _, name = encoders[modality].partition(FROZEN)
        if frozen or not name:
            what = f"encoders: {modality}={encoders[modality]} gives no features of nodes"
            raise ConcordError("C204", what, f"write {modality}={FROZEN}NAME, with a pretrained encoder of texts")
        text_of = source.read(folder)
        has_N = torch.tensor([bool(text_of.get(node)) for node in whole.ids])
        vector_NF = text_vectors(name, [text_of.get(node, "") for node in whole.ids])
        x[modality], present[modality] = vector_NF * has_N[:, None], has_N
        identities[modality] = frozen_encoder(name).identity
    return replace(whole, x=x, present=present), identities
