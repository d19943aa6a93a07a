"""What nodes and server say to each other, for every way to share a model."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from annotated_types import Gt, Le
from flwr.app import Message
from pydantic.fields import FieldInfo
from safetensors.torch import load_file
from tiny_run import CENSUS, FINAL, ONE_EACH, TRAIN, Settings, at, instruction_of, lines, open_tiny, report_of, run_tiny

from concord.config import GeoLoraConfig, PrecisionConfig, Scalar
from concord.run_folder import RunFolder
from concord.section import Section
from concord.wire.groups import shapes_from_manifest, unpack
from concord.wire.messages import encode
from concord.wire.records import arrays_from_record, record_bytes
from concord.wire.v1 import federation_pb2 as pb

IMAGE, WORD, TONE = 1, 2, 3


class Wire:
    """Remembers every message of a run, but the census."""

    def __init__(self) -> None:
        self.exchanged: list[tuple[int, Message, Message]] = []

    def __call__(self, node_id: int, message: Message, reply: Message) -> Message:
        if message.metadata.message_type != CENSUS:
            self.exchanged.append((node_id, copy.deepcopy(message), copy.deepcopy(reply)))
        return reply

    def instruction(self, node_id: int, round_: int) -> pb.Instruction:
        return next(instruction_of(m) for n, m, _ in self.exchanged if n == node_id and instruction_of(m).round == round_)

    def report(self, node_id: int, round_: int) -> pb.Report:
        return next(report_of(r) for n, _, r in self.exchanged if n == node_id and report_of(r).round == round_)

    def shapes(self, group: str, node_id: int, round_: int = 1) -> dict[str, tuple[int, ...]]:
        """Names and shapes of a group as it was sent to a node."""
        return next(shapes_from_manifest(m) for m in self.instruction(node_id, round_).groups if m.group == group)

    def sent_back(self, group: str, node_id: int, round_: int = 1) -> dict[str, torch.Tensor]:
        reply = next(r for n, _, r in self.exchanged if n == node_id and report_of(r).round == round_)
        manifest = next(c.manifest for c in report_of(reply).groups if c.manifest.group == group)
        return unpack(arrays_from_record(reply.content)[group], shapes_from_manifest(manifest))

    def names(self) -> set[str]:
        """All groups that travelled in either direction."""
        down = {m.group for _, message, _ in self.exchanged for m in instruction_of(message).groups}
        return down | {c.manifest.group for _, _, reply in self.exchanged for c in report_of(reply).groups}

    def payload(self) -> Iterator[bytes]:
        """Everything that travelled, as bytes."""
        for _, message, reply in self.exchanged:
            for record in (message.content, reply.content):
                yield from (array.data for arrays in record.array_records.values() for array in arrays.values())
            yield encode(instruction_of(message))
            yield encode(report_of(reply))


TOKENISERS = {"tokeniser.image", "tokeniser.word", "tokeniser.tone"}


@pytest.mark.parametrize("kind", ["lora", "dora", "full"])
def test_every_kind_of_adapter_trains_and_sends_what_it_shares(kind: str, tmp_path: Path) -> None:
    wire = Wire()
    result = run_tiny(tmp_path, {"adapter.kind": kind}, intercept=wire)
    assert result.rejections == []
    names = wire.shapes("trunk", IMAGE)
    assert all(name.endswith(".b") for name in names) == (kind != "full")
    assert ("base" in {m.group for m in wire.instruction(IMAGE, 1).groups}) == (kind != "full")
    assert "base" not in {m.group for m in wire.instruction(IMAGE, 2).groups}
    magnitudes = [name for name in load_file(private(tmp_path, ONE_EACH[0], 2)) if name.startswith("magnitude/")]
    assert bool(magnitudes) == (kind == "dora")


def private(folder: Path, node: str, round_: int) -> Path:
    (path,) = (RunFolder(folder).nodes / node).glob(f"*/round-{round_:06d}.safetensors")
    return path


def test_magnitudes_are_trained_and_never_leave_the_node(tmp_path: Path) -> None:
    wire = Wire()
    run_tiny(tmp_path, {"adapter.kind": "dora", "lr": 0.05}, intercept=wire)
    travelled = list(wire.payload())
    for node in ONE_EACH:
        first, last = (load_file(private(tmp_path, node, round_)) for round_ in (1, 2))
        for name in first:
            assert not torch.equal(first[name], last[name])
            for tensor in (first[name], last[name]):
                data = tensor.numpy().tobytes()
                assert len(data) == 4 * 16
                assert not any(data in message for message in travelled)
    b = wire.sent_back("trunk", IMAGE)
    assert any(next(iter(b.values())).numpy().tobytes() in message for message in travelled)  # the search finds what does travel
    assert not [name for name in wire.shapes("trunk", IMAGE) if "magnitude" in name]


def test_b_becomes_the_weighted_mean_of_the_replies(tmp_path: Path) -> None:
    wire = Wire()
    run = open_tiny(tmp_path, {"rounds": 1, "aggregation.rule": "mean", "aggregation.max-share": 1.0}, intercept=wire)
    run.wait_for_nodes()
    run.train_round(1)
    examples = {node_id: wire.report(node_id, 1).groups[0].examples for node_id in (IMAGE, WORD, TONE)}
    replies = {node_id: wire.sent_back("trunk", node_id) for node_id in examples}
    for name, averaged in run.strategy.state.groups["trunk"].items():
        by_hand = sum(n * replies[node_id][name].double() for node_id, n in examples.items()) / sum(examples.values())
        torch.testing.assert_close(averaged.double(), by_hand, atol=1e-7, rtol=1e-6)
        assert float(averaged.abs().max()) > 0


def test_trained_factors_of_unequal_rank_travel_in_the_rank_of_each_node(tmp_path: Path) -> None:
    wire = Wire()
    settings = {
        "adapter.train-a": True,
        "aggregation.rule": "low-rank",
        "adapter.rank": 3,
        "adapter.rank-by-modality": "word=1,tone=2",
    }
    result = run_tiny(tmp_path, settings, intercept=wire)
    assert result.rejections == []
    for node_id, rank in ((IMAGE, 3), (WORD, 1), (TONE, 2)):
        for shapes in (
            wire.shapes("trunk", node_id, 2),
            {k: tuple(v.shape) for k, v in wire.sent_back("trunk", node_id, 2).items()},
        ):
            assert {shape for name, shape in shapes.items() if name.endswith(".a")} == {(rank, 16)}
            assert {shape for name, shape in shapes.items() if name.endswith(".b")} == {(16, rank)}


def test_frozen_a_of_unequal_rank_lets_b_travel_in_the_rank_of_each_node(tmp_path: Path) -> None:
    wire = Wire()
    result = run_tiny(tmp_path, {"adapter.rank-by-modality": "word=1"}, intercept=wire)
    assert result.rejections == []
    assert set(wire.shapes("trunk", WORD, 2).values()) == {(16, 1)}
    assert set(wire.shapes("trunk", IMAGE, 2).values()) == {(16, 2)}


@pytest.mark.parametrize(
    ("settings", "heads"),
    [
        ({"model.head": "shared"}, ["head"]),
        ({"model.head": "modality"}, ["head.image", "head.word", "head.tone"]),
        ({"model.head": "local"}, []),
        ({"scenario": "local-heads"}, []),
        ({"scenario": "local-heads", "method": "fedavg", "model.head": "modality"}, []),
    ],
    ids=str,
)
def test_heads_travel_as_far_as_the_settings_say(settings: Settings, heads: list[str], tmp_path: Path) -> None:
    wire = Wire()
    result = run_tiny(tmp_path, settings, intercept=wire)
    assert result.rejections == []
    assert wire.names() == {"trunk", "base", *TOKENISERS, *heads}
    assert {m.group for m in wire.instruction(WORD, 2).groups} <= {"trunk", "tokeniser.word", "head", "head.word"}
    stays = [name for name in load_file(private(tmp_path, ONE_EACH[0], 2)) if name.startswith("head")]
    assert bool(stays) == (not heads)


@pytest.mark.parametrize("method", ["local", "anchors-only", "fedproto"])
def test_methods_without_averaging_send_no_group(method: str, tmp_path: Path) -> None:
    wire = Wire()
    run_tiny(tmp_path, {"method": method}, intercept=wire)
    assert wire.names() == {"base"}
    assert wire.report(IMAGE, 1).HasField("prototypes") == (method == "fedproto")
    assert wire.instruction(IMAGE, 2).HasField("prototypes") == (method == "fedproto")


def test_embeddings_of_test_samples_leave_a_node_only_where_that_is_allowed(tmp_path: Path) -> None:
    wire = Wire()
    result = run_tiny(tmp_path, {"rounds": 1, "share-test-embeddings": False}, intercept=wire)
    assert result.retrieval == {}
    assert not any(report_of(reply).embeddings for _, _, reply in wire.exchanged)


def test_bytes_in_the_result_are_those_of_the_messages_of_training_rounds(tmp_path: Path) -> None:
    wire = Wire()
    result = run_tiny(tmp_path, {}, intercept=wire)
    training = [(m, r) for _, m, r in wire.exchanged if m.metadata.message_type == TRAIN]
    assert result.bytes.down_total == sum(record_bytes(m.content) for m, _ in training)
    assert result.bytes.up_total == sum(record_bytes(r.content) for _, r in training)
    assert sum(n.up for n in result.bytes.nodes.values()) == result.bytes.up_total
    assert any(m.metadata.message_type == FINAL for _, m, _ in wire.exchanged)


def test_a_base_that_a_node_lost_is_asked_for_once_and_sent_again(tmp_path: Path) -> None:
    wire = Wire()

    def forget(node_id: int, message: Message, reply: Message) -> Message:
        if node_id == IMAGE and at(TRAIN, 1, message):
            (base,) = (RunFolder(tmp_path).nodes / ONE_EACH[0]).glob("base-*")
            base.unlink()
        return wire(node_id, message, reply)

    result = run_tiny(tmp_path, {"rounds": 4}, intercept=forget)
    assert [(r.round, r.node, r.reason) for r in result.rejections] == [(2, ONE_EACH[0], "needs-base")]
    with_base = [r for r in (1, 2, 3, 4) if "base" in {m.group for m in wire.instruction(IMAGE, r).groups}]
    assert with_base == [1, 3]
    assert [line["replies"] for line in lines(tmp_path, "round")] == [3, 2, 3, 3, 3]


@pytest.mark.parametrize("digest", ["0" * 64, "../" + "0" * 61])
def test_a_base_that_is_not_what_its_digest_says_is_kept_by_no_node(digest: str, tmp_path: Path) -> None:
    run = open_tiny(tmp_path, {"rounds": 1})
    run.wait_for_nodes()
    run.strategy.state.base_digest = digest
    run.train_round(1)
    refused = lines(tmp_path, "rejection")
    assert {line["node"] for line in refused} == set(ONE_EACH)
    assert all(line["reason"] == "node-error" and "C501" in line["detail"] for line in refused)
    assert list(tmp_path.rglob("base-*")) == []


def alternatives(section: type[Section], prefix: str) -> Iterator[tuple[str, Scalar]]:
    """Of every key of a section all values that a switch has; of a number its limit: zero, or close to it."""
    for name, field in section.model_fields.items():
        key = f"{prefix}.{field.alias or name}"
        if get_origin(field.annotation) is Literal:
            yield from ((key, value) for value in get_args(field.annotation) if value != field.default)
        elif field.annotation is bool:
            yield key, not field.default
        elif field.annotation is float:
            yield key, limit_of(field)


def limit_of(field: FieldInfo) -> float:
    upper = [float(limit.le) for limit in field.metadata if isinstance(limit, Le)]  # type: ignore[arg-type]
    return upper[0] if upper else 1e-6 if any(isinstance(limit, Gt) for limit in field.metadata) else 0.0


SWITCHES = [*alternatives(GeoLoraConfig, "geolora"), *alternatives(PrecisionConfig, "precision")]


@pytest.mark.parametrize(("key", "value"), SWITCHES, ids=[f"{key}={value}" for key, value in SWITCHES])
def test_every_switch_of_geolora_runs_with_labels_missing(key: str, value: Scalar, tmp_path: Path) -> None:
    result = run_tiny(tmp_path, {key: value, "scenario": "unlabelled=word"}, ONE_EACH[:2])
    assert result.rejections == []
    assert all(0 <= split["word"].accuracy <= 1 for split in result.accuracy.values())
    losses = lines(tmp_path, "round")[1]["losses"]
    assert all(np.isfinite(loss) for loss in losses.values())
    gone = {"geolora.cka-weight": "cka", "geolora.frame-weight": "frame"}.get(key)
    assert {"task", "cka", "frame"} - losses.keys() == ({gone} if gone else set())


@pytest.mark.parametrize("rule", ["mean", "precision"])
def test_geolora_takes_other_rules(rule: str, tmp_path: Path) -> None:
    wire = Wire()
    run_tiny(tmp_path, {"aggregation.rule": rule, "rounds": 1}, intercept=wire)
    assert wire.instruction(IMAGE, 1).want_variance == (rule == "precision")
    assert (wire.report(IMAGE, 1).groups[0].variance > 0) == (rule == "precision")


def test_leave_own_out_sends_each_modality_a_consensus_without_it(tmp_path: Path) -> None:
    wire = Wire()
    run_tiny(tmp_path, {"geolora.consensus": "leave-own-out"}, intercept=wire)
    assert not wire.instruction(WORD, 1).others
    assert {other.modality for other in wire.instruction(WORD, 2).others} == {"image", "word", "tone"}


def test_arrays_on_the_wire_are_one_flat_float32_array_a_group(tmp_path: Path) -> None:
    wire = Wire()
    run_tiny(tmp_path, {"rounds": 1}, intercept=wire)
    for _, message, reply in wire.exchanged:
        for record in (message.content, reply.content):
            for arrays in record.array_records.values():
                for array in arrays.values():
                    value = np.load(io.BytesIO(array.data), allow_pickle=False)
                    assert (value.dtype, value.ndim) == (np.float32, 1)
