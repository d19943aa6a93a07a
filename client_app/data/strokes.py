"""Suite `strokes`: 242 characters, each drawing as an image and as the path of the pen; 15 nodes, one a drawer.

Five drawers' nodes hold images only, five paths only, five both. Three drawers are at no node and make the unseen test.
The anchors are the images of one more drawer and the paths of another. A drawer drew each character once, so a node has at
most one sample of a class, and what it tests for the split ``random`` are characters that this drawer's node never saw.
"""

from __future__ import annotations

from client_app.data.readers.strokes import ALPHABETS, CHARACTERS, STROKE_IMAGE, STROKE_PATH
from client_app.data.suite import OF_GRAPHS, Holder, PairedModality, PairedSuite

KINDS = {"image": ("image",), "pen": ("pen",), "paired": ("image", "pen")}
DRAWERS_A_KIND = 5
OF_THE_INSTANCE = "a label belongs to a drawing, which image and path share"
SAID_ALREADY = "the suite itself says which nodes hold images, paths or both"


def _drawer(number: int) -> str:
    return f"drawer-{number:02}"


STROKES = PairedSuite(
    name="strokes",
    what="242 characters of 8 alphabets by 20 drawers: image and pen trajectory of the same drawings",
    licence="MIT",
    origin="brendenlake/omniglot: `concord data check` names the commit",
    concepts=tuple(
        f"{alphabet}-{character:02}"
        for alphabet, characters in zip(ALPHABETS, CHARACTERS, strict=True)
        for character in range(1, characters + 1)
    ),
    modalities=(
        PairedModality("image", STROKE_IMAGE, anchors=(_drawer(19),)),
        PairedModality("pen", STROKE_PATH, anchors=(_drawer(20),)),
    ),
    nodes={
        f"{kind}-{_drawer(number)}": Holder(_drawer(number), modalities)
        for rank, (kind, modalities) in enumerate(KINDS.items())
        for number in range(1 + rank * DRAWERS_A_KIND, 1 + (rank + 1) * DRAWERS_A_KIND)
    },
    unseen=tuple(map(_drawer, (16, 17, 18))),
    anchors_per_concept=1,
    refused={
        "unlabelled": OF_THE_INSTANCE,
        "disjoint-labels": OF_THE_INSTANCE,
        "missing": SAID_ALREADY,
        "multimodal": SAID_ALREADY,
        "unbalanced": SAID_ALREADY,
        "skew": "a drawer is one node with one sample of each class",
        **OF_GRAPHS,
    },
)
