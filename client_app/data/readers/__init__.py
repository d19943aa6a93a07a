"""One file a modality: from a raw pack to a `Corpus` of fixed-shape features."""
