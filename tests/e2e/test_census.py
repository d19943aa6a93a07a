"""Who may take part, who may not and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from tiny_run import (
    CENSUS,
    ONE_EACH,
    NamedNodes,
    Settings,
    census_from,
    edited,
    edited_census,
    lines,
    no_samples,
    open_tiny,
    other_version,
    run_tiny,
    tiny_config,
    told,
)

from client_app.data.federation import build_federation
from concord.anchors import AnchorSet, save_anchors
from concord.errors import ConcordError
from concord.run_folder import RunFolder
from concord.wire.records import MESSAGE, PROTOBUF
from concord.wire.v1 import federation_pb2 as pb
from server_app.in_process import pass_on
from server_app.run import open_run

ODD, NAME = 2, ONE_EACH[1]


def no_holdings(census: pb.Census) -> None:
    del census.holdings[:]


def odd_modality(census: pb.Census) -> None:
    census.holdings[0].modality = "smell"


def other_schema(census: pb.Census) -> None:
    census.schema_version = 2


def other_anchors(census: pb.Census) -> None:
    census.anchor_digest = "f" * 64


def other_encoder(census: pb.Census) -> None:
    census.holdings[0].encoder = "word-conv-0"


def same_name(census: pb.Census) -> None:
    census.node = ONE_EACH[0]


def modality_twice(census: pb.Census) -> None:
    census.holdings.append(census.holdings[0])


def endless_name(census: pb.Census) -> None:
    census.node = "x" * 129


def no_name(census: pb.Census) -> None:
    census.node = ""


def name_that_cannot_be_shown(census: pb.Census) -> None:
    census.node = "ward\n7"


def slice_of_two_names(census: pb.Census) -> None:
    census.slices.add(group="x\0y")


def many_slices(census: pb.Census) -> None:
    for number in range(257):
        census.slices.add(group=f"slice-{number}")


def random_bytes(reply: Message) -> Message:
    reply.content = RecordDict({MESSAGE: ConfigRecord({PROTOBUF: b"\x0a\xff\xff"})})
    return reply


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        (told(no_samples), NAME, "no-data"),
        (told(no_holdings), NAME, "no-data"),
        (told(odd_modality), NAME, "no-data"),
        (told(other_schema), "node 2", "undecodable"),
        (told(other_version), NAME, "other-version"),
        (told(other_anchors), NAME, "other-anchors"),
        (told(other_encoder), NAME, "other-encoder"),
        (told(same_name), ONE_EACH[0], "duplicate-name"),
        (told(modality_twice), NAME, "unknown-modality"),
        (told(endless_name), "x" * 128 + "…", "undecodable"),
        (told(no_name), "node 2", "undecodable"),
        (told(name_that_cannot_be_shown), "ward\N{REPLACEMENT CHARACTER}7", "undecodable"),
        (told(slice_of_two_names), NAME, "unknown-group"),
        (told(many_slices), NAME, "unknown-group"),
        (random_bytes, "node 2", "undecodable"),
        (lambda reply: None, "node 2", "no-reply"),
    ],
    ids=[
        "no samples",
        "no holdings",
        "odd modality",
        "other schema",
        "other version",
        "other anchors",
        "other encoder",
        "same name",
        "modality twice",
        "endless name",
        "no name",
        "name that cannot be shown",
        "slice of two names",
        "many slices",
        "random bytes",
        "silence",
    ],
)
def test_a_node_that_cannot_take_part_is_refused_with_its_reason(
    change: Callable[[Message], Message | None], name: str, reason: str, tmp_path: Path
) -> None:
    result = run_tiny(tmp_path, {"rounds": 1, "round-timeout": 0.2}, intercept=census_from(ODD, change))
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(0, name, reason)]
    assert [node.name for node in result.nodes] == sorted({ONE_EACH[0], ONE_EACH[2]})
    assert lines(tmp_path, "round")[0]["asked"] == 2


def test_a_name_with_a_digit_of_another_script_is_one_like_others(tmp_path: Path) -> None:
    def renamed(census: pb.Census) -> None:
        census.node = "ward\u00b2"

    def intercept(node_id: int, message: Message, reply: Message) -> Message:
        if node_id != ODD:
            return reply
        if message.metadata.message_type == CENSUS:
            return edited_census(reply, renamed)
        return edited(reply, lambda report, arrays: setattr(report, "node", "ward\u00b2"))

    result = run_tiny(tmp_path, {"rounds": 1}, intercept=intercept)
    assert "ward\u00b2" in result.node_accuracy
    assert (tmp_path / "report.html").exists()


def test_a_node_with_anchors_of_another_seed_is_refused(tmp_path: Path) -> None:
    save_anchors(build_federation("demo", None, 1, "labelled").anchors, tmp_path / "anchors")
    config = tiny_config(tmp_path / "run", {"rounds": 1})
    grid = NamedNodes(config, ONE_EACH)
    grid.context(ODD).run_config["anchors"] = str(tmp_path / "anchors")
    result = open_run(config, grid).rounds()
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(0, NAME, "other-anchors")]


def test_a_modality_without_anchors_is_refused_and_the_error_says_so(tmp_path: Path) -> None:
    whole = build_federation("demo", None, 0, "labelled").anchors
    save_anchors(AnchorSet(whole.concepts, {m: s for m, s in whole.modalities.items() if m != "word"}), tmp_path / "anchors")
    result = run_tiny(tmp_path / "run", {"rounds": 1, "anchors": str(tmp_path / "anchors")})
    assert [(r.round, r.reason) for r in result.rejections] == [(0, "node-error")]
    assert "C302" in result.rejections[0].detail
    assert "'word'" in result.rejections[0].detail
    assert result.accuracy["random"].keys() == {"image", "tone"}


@pytest.mark.parametrize(
    "settings", [{"anchors": "/nowhere"}, {"method": "fedaverage"}, {"suite": "dem"}, {"scenario": "lab"}], ids=str
)
def test_a_mistake_in_the_settings_ends_before_the_folder_is_made(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConcordError, match=r"C103|C204|C301"):
        open_tiny(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_node_without_data_of_its_own_is_refused(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, {"rounds": 1})
    grid = NamedNodes(config, ONE_EACH)
    grid.context(ODD).node_config["node"] = "word-nowhere"
    result = open_run(config, grid).rounds()
    assert [(r.node, r.reason) for r in result.rejections] == [("node 2", "node-error")]
    assert "C203" in result.rejections[0].detail


@pytest.mark.parametrize(("refused", "said"), [(True, "word-west-europe refused .no-data."), (False, "no node was refused")])
def test_too_few_nodes_end_the_run_before_any_training(refused: bool, said: str, tmp_path: Path) -> None:
    seen: list[str] = []
    spoil = census_from(ODD, told(no_samples)) if refused else pass_on

    def listen(node_id: int, message: Message, reply: Message) -> Message | None:
        seen.append(message.metadata.message_type)
        return spoil(node_id, message, reply)

    settings = {"min-nodes": 3 if refused else 4, "round-timeout": 0.3}
    run = open_tiny(tmp_path, settings, intercept=listen)
    with pytest.raises(ConcordError, match=f"C401 .*{said}"):
        run.rounds()
    assert set(seen) == {CENSUS}
    assert not RunFolder(tmp_path).checkpoint.exists()
