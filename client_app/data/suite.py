"""What a suite is: concepts, modalities, and which owners make a node, the anchors, the unseen test.

In a `Suite` nothing is paired: each modality has owners and nodes of its own. In a `PairedSuite` an instance is there in
all modalities, and a node holds some or all of them. In a `GraphSuite` parties share out a graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client_app.data.corpus import Reader
from client_app.data.graph import GraphSource
from client_app.data.packs import PackFile
from concord.errors import ConcordError
from concord.graphs import GRAPH_SUITES

HOLDS_ONE = "a node holds one modality, so it has none to lack"
OF_GRAPHS = {word: f"it is for the suites of graphs, {', '.join(GRAPH_SUITES)}" for word in ("graph", "drift", "task")}
OF_SAMPLES = dict.fromkeys(
    ("unlabelled", "disjoint-labels", "local-heads", "multimodal", "unbalanced", "skew"),
    "parties share out a graph by communities",
)
DIGITS_IN_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Source:
    """A modality by its name, and where its samples come from."""

    name: str
    reader: Reader


@dataclass(frozen=True)
class Modality(Source):
    """How the owners of one modality are dealt out. No owner has two roles, and owners without a role are not used.

    Attributes:
        name: the modality, also the prefix of its nodes' names.
        reader: where the samples come from.
        nodes: per node (``jackson`` gives the node ``speech-jackson``) the owners whose samples it holds.
        unseen: owners whose samples no node trains on; they make the ``unseen`` test.
        anchors: owners of the public anchors; empty: the anchors are spread over the owners of the nodes.
    """

    nodes: Mapping[str, tuple[str, ...]]
    unseen: tuple[str, ...]
    anchors: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairedModality(Source):
    """One view of the instances of a paired suite.

    Attributes:
        anchors: owners of its public anchors, others than those of the other modalities; empty: instances of the owners of
            the nodes, other ones in each modality.
    """

    anchors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Holder:
    """A node of a paired suite: whose instances it holds, in which modalities. Nodes of one owner share them out."""

    owner: str
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class SuiteFacts:
    """What there is to know of any suite.

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
    modalities: tuple[Source, ...]

    @property
    def modality_names(self) -> tuple[str, ...]:
        return tuple(modality.name for modality in self.modalities)

    @property
    def files(self) -> tuple[PackFile, ...]:
        """The pack files that its readers need, each once."""
        return tuple({file.path: file for modality in self.modalities for file in modality.reader.files}.values())

    @property
    def further_files(self) -> tuple[PackFile, ...]:
        """Those that only some runs need."""
        return ()


@dataclass(frozen=True)
class Suite(SuiteFacts):
    """A named federation of data without pairs."""

    modalities: tuple[Modality, ...]

    @property
    def refused(self) -> Mapping[str, str]:
        """Words of scenarios that make no sense here, with the reason."""
        return {
            "missing": HOLDS_ONE,
            "multimodal": HOLDS_ONE,
            "unbalanced": HOLDS_ONE,
            "skew": "the samples of an owner are at one node, so there is nothing to share out",
            **OF_GRAPHS,
        }


@dataclass(frozen=True)
class PairedSuite(SuiteFacts):
    """A named federation of data whose instances are there in all modalities, with the same id.

    Attributes:
        nodes: per node whose instances it holds, in which modalities.
        unseen: owners whose instances no node trains on.
        anchors_per_concept: anchors of each concept in each modality.
        refused: words of scenarios that make no sense here, with the reason.
        whole_tests: whether every node tests all instances of `unseen` owners, and for ``random`` its own part alone. For
            nodes that learn without a server: nobody sums over shards there. Otherwise both tests are shared out, also
            the parts of nodes that lack a modality.
    """

    modalities: tuple[PairedModality, ...]
    nodes: Mapping[str, Holder]
    unseen: tuple[str, ...]
    anchors_per_concept: int
    refused: Mapping[str, str]
    whole_tests: bool = False


@dataclass(frozen=True, kw_only=True)
class GraphSuite(SuiteFacts):
    """One or more graphs that parties share out; the first is the one of a scenario that names none."""

    concepts: tuple[str, ...] = ()  # each graph has its own
    modalities: tuple[Source, ...] = ()
    graphs: tuple[GraphSource, ...]

    @property
    def modality_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(m for graph in self.graphs for m in graph.widths))

    @property
    def files(self) -> tuple[PackFile, ...]:
        return tuple({file.path: file for graph in self.graphs for file in graph.files}.values())

    @property
    def further_files(self) -> tuple[PackFile, ...]:
        return tuple({texts.file.path: texts.file for graph in self.graphs for texts in graph.texts.values()}.values())

    @property
    def refused(self) -> Mapping[str, str]:
        """Words of scenarios that make no sense here, with the reason."""
        return OF_SAMPLES | ({} if len(self.modality_names) > 1 else {"missing": HOLDS_ONE})

    def graph(self, name: str) -> GraphSource:
        """The graph of that name, the first for none; ConcordError C204 if there is no such graph."""
        known = {graph.name: graph for graph in self.graphs}
        if name and name not in known:
            raise ConcordError("C204", f"suite {self.name} has no graph {name!r}", f"write graph= and one of: {', '.join(known)}")
        return known[name] if name else self.graphs[0]


def names(text: str) -> tuple[str, ...]:
    """The words of a text: long lists of owners stay readable."""
    return tuple(text.split())
