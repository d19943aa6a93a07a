"""The comparison on suite `digits`: alignment of nodes that hold one modality each."""
