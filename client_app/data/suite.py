"""What a suite is: concepts, modalities, and for each modality which owners make a node, the anchors, the unseen test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client_app.data.corpus import Reader
from client_app.data.packs import PackFile

DIGITS_IN_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Modality:
    """How the owners of one modality are dealt out. No owner has two roles, and owners without a role are not used.

    Attributes:
        name: the modality, also the prefix of its nodes' names.
        reader: where the samples come from.
        nodes: per node (``jackson`` gives the node ``speech-jackson``) the owners whose samples it holds.
        unseen: owners whose samples no node trains on; they make the ``unseen`` test.
        anchors: owners of the public anchors; empty: the anchors are spread over the owners of the nodes.
    """

    name: str
    reader: Reader
    nodes: Mapping[str, tuple[str, ...]]
    unseen: tuple[str, ...]
    anchors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A named federation of data.

    Attributes:
        what: one line for `concord data list`.
        licence: who may do what with the data, in a line.
        origin: where to get the data; empty when it comes with the dependencies.
    """

    name: str
    what: str
    licence: str
    origin: str
    concepts: tuple[str, ...]
    modalities: tuple[Modality, ...]

    @property
    def modality_names(self) -> tuple[str, ...]:
        return tuple(modality.name for modality in self.modalities)

    @property
    def files(self) -> tuple[PackFile, ...]:
        """The pack files that its readers need, each once."""
        return tuple({file.path: file for modality in self.modalities for file in modality.reader.files}.values())


def names(text: str) -> tuple[str, ...]:
    """The words of a text: long lists of owners stay readable."""
    return tuple(text.split())
