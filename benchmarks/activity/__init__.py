"""The comparison on suite `activity`: nodes that hold several modalities of the same samples, some missing."""
