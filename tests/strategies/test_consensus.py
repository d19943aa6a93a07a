"""What is agreed on beside weights: by hand, and through its own round trip."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from concord.functional.gram import centre, cka, gram
from concord.wire.messages import gram_from_wire, gram_to_wire, matrix_from_wire, prototypes_from_wire, prototypes_to_wire
from concord.wire.v1 import federation_pb2 as pb
from strategies.consensus import Consensus, GramConsensus, NoConsensus, PrototypeConsensus

C, D = 6, 4
ALL = torch.ones(C, dtype=torch.bool)


def gram_of(seed: int) -> Tensor:
    return gram(torch.randn(C, D, generator=torch.Generator().manual_seed(seed)))


def report(modality: str, gram_CC: Tensor, examples: int = 10, variance: float = 1.0, mask_C: Tensor = ALL) -> pb.Report:
    claim = pb.GroupClaim(manifest=pb.GroupManifest(group="trunk"), examples=examples, variance=variance)
    return pb.Report(groups=[claim], grams=[pb.ModalityGram(modality=modality, gram=gram_to_wire(gram_CC, mask_C))])


def unit(gram_CC: Tensor) -> Tensor:
    """HGH at Frobenius norm one."""
    centred = centre(gram_CC, ALL)
    return centred / centred.norm()


def consensus_of(weights: str, *, with_frame: bool = True, cap: float = 0.9) -> GramConsensus:
    return GramConsensus(C, D, weights, cap, with_frame=with_frame)


def written(consensus: Consensus) -> pb.Instruction:
    instruction = pb.Instruction()
    consensus.write(instruction, "node")
    return instruction


REPORTS = [report("image", gram_of(0)), report("image", gram_of(1)), report("word", gram_of(2))]


def test_the_uniform_consensus_is_the_mean_of_the_normalised_centred_grams() -> None:
    consensus = consensus_of("uniform")
    consensus.update(REPORTS)
    agreed_CC, mask_C = gram_from_wire(written(consensus).consensus, C)
    torch.testing.assert_close(agreed_CC, (unit(gram_of(0)) + unit(gram_of(1)) + unit(gram_of(2))) / 3, atol=1e-6, rtol=0)
    assert bool(mask_C.all())
    assert not written(consensus).others


def test_the_precision_consensus_weighs_by_examples_over_variance() -> None:
    consensus = consensus_of("precision")
    assert consensus.needs_variance
    consensus.update(
        [report("image", gram_of(0), 30, 1.0), report("word", gram_of(1), 10, 1.0), report("word", gram_of(2), 20, 2.0)]
    )
    agreed_CC, _ = gram_from_wire(written(consensus).consensus, C)
    expected = 0.6 * unit(gram_of(0)) + 0.2 * unit(gram_of(1)) + 0.2 * unit(gram_of(2))
    torch.testing.assert_close(agreed_CC, expected, atol=1e-6, rtol=0)


def test_the_cap_holds_for_a_node_whatever_it_holds() -> None:
    consensus = consensus_of("precision", cap=0.5)
    hostile = report("image", gram_of(0), 1 << 30, 1e-9)
    for modality in ("word", "tone"):
        hostile.grams.add(modality=modality, gram=hostile.grams[0].gram)
    consensus.update([hostile, report("image", gram_of(1)), report("word", gram_of(1))])
    agreed_CC, _ = gram_from_wire(written(consensus).consensus, C)
    torch.testing.assert_close(agreed_CC, 0.5 * unit(gram_of(0)) + 0.5 * unit(gram_of(1)), atol=1e-6, rtol=0)


def test_leave_own_out_leaves_the_own_modality_out() -> None:
    consensus = consensus_of("leave-own-out")
    consensus.update(REPORTS)
    others = {other.modality: gram_from_wire(other.gram, C)[0] for other in written(consensus).others}
    torch.testing.assert_close(others["image"], unit(gram_of(2)), atol=1e-6, rtol=0)
    torch.testing.assert_close(others["word"], (unit(gram_of(0)) + unit(gram_of(1))) / 2, atol=1e-6, rtol=0)


def test_what_a_modality_says_has_no_influence_on_its_own_target() -> None:
    targets = []
    for own in (3, 4):
        consensus = consensus_of("leave-own-out")
        consensus.update([report("image", gram_of(own)), report("word", gram_of(2))])
        targets.append({o.modality: gram_from_wire(o.gram, C)[0] for o in written(consensus).others})
    assert torch.equal(targets[0]["image"], targets[1]["image"])
    assert not torch.equal(targets[0]["word"], targets[1]["word"])


def test_a_modality_that_is_alone_follows_the_whole() -> None:
    consensus = consensus_of("leave-own-out")
    consensus.update(REPORTS[:2])
    assert not written(consensus).others
    assert written(consensus).HasField("consensus")


@pytest.mark.parametrize("with_frame", [True, False])
def test_the_frame_shows_the_consensus_in_unit_rows(with_frame: bool) -> None:
    consensus = consensus_of("uniform", with_frame=with_frame)
    consensus.update(REPORTS)
    instruction = written(consensus)
    assert instruction.HasField("frame") == with_frame
    if with_frame:
        frame_CD = matrix_from_wire(instruction.frame)
        assert frame_CD.shape == (C, D)
        torch.testing.assert_close(frame_CD.norm(dim=1), torch.ones(C), atol=1e-6, rtol=0)
        assert float(cka(gram(frame_CD), gram_from_wire(instruction.consensus, C)[0])) > 0.8


def test_a_round_without_grams_changes_nothing_and_nothing_is_sent_before_the_first() -> None:
    consensus = consensus_of("uniform")
    assert written(consensus) == pb.Instruction()
    consensus.update([pb.Report()])
    assert written(consensus) == pb.Instruction()
    consensus.update(REPORTS)
    before = written(consensus)
    consensus.update([])
    assert written(consensus) == before


def test_a_masked_concept_is_unknown_to_the_consensus_only_where_nobody_has_it() -> None:
    mask_C = torch.tensor([True] * (C - 1) + [False])
    consensus = consensus_of("uniform")
    consensus.update([report("image", gram_of(0), mask_C=mask_C)])
    assert gram_from_wire(written(consensus).consensus, C)[1].tolist() == mask_C.tolist()
    assert not matrix_from_wire(written(consensus).frame)[C - 1].any()
    consensus.update([report("image", gram_of(0), mask_C=mask_C), report("word", gram_of(1))])
    assert bool(gram_from_wire(written(consensus).consensus, C)[1].all())


def prototype_report(means_CD: Tensor, counts: list[int]) -> pb.Report:
    return pb.Report(prototypes=prototypes_to_wire(means_CD, torch.tensor(counts)))


def test_no_claim_of_counts_makes_a_prototype_alone() -> None:
    consensus = PrototypeConsensus(1, cap=0.5)
    honest = [prototype_report(torch.tensor([[1.0]]), [100]) for _ in range(3)]
    consensus.update([*honest, prototype_report(torch.tensor([[-1.0]]), [2**38])])
    assert prototypes_from_wire(written(consensus).prototypes, 1)[0].tolist() == [[pytest.approx(0.0, abs=1e-6)]]


def test_prototypes_are_means_by_count_and_a_class_that_nobody_has_keeps_its_old_one() -> None:
    consensus = PrototypeConsensus(3, cap=1.0)
    consensus.update([prototype_report(torch.full((3, 2), 1.0), [1, 0, 2]), prototype_report(torch.full((3, 2), 4.0), [2, 0, 0])])
    means_CD, known_C = prototypes_from_wire(written(consensus).prototypes, 3)
    assert means_CD.tolist() == [[3, 3], [0, 0], [1, 1]]
    assert (known_C > 0).tolist() == [True, False, True]
    consensus.update([prototype_report(torch.full((3, 2), 9.0), [0, 1, 0])])
    means_CD, known_C = prototypes_from_wire(written(consensus).prototypes, 3)
    assert means_CD.tolist() == [[3, 3], [9, 9], [1, 1]]
    assert bool((known_C > 0).all())


def updated(consensus: Consensus, reports: list[pb.Report]) -> Consensus:
    consensus.update(reports)
    return consensus


PROTOTYPES = [prototype_report(torch.randn(C, D, generator=torch.Generator().manual_seed(1)), [0, 1, 2, 3, 4, 5])]
CASES: Mapping[str, tuple[Consensus, Consensus, list[pb.Report]]] = {
    "none": (NoConsensus(), NoConsensus(), REPORTS),
    "uniform": (consensus_of("uniform"), consensus_of("uniform"), REPORTS),
    "no frame": (consensus_of("uniform", with_frame=False), consensus_of("uniform", with_frame=False), REPORTS),
    "precision": (consensus_of("precision"), consensus_of("precision"), REPORTS),
    "leave-own-out": (consensus_of("leave-own-out"), consensus_of("leave-own-out"), REPORTS),
    "prototypes": (PrototypeConsensus(C, 1.0), PrototypeConsensus(C, 1.0), PROTOTYPES),
}


@pytest.mark.parametrize("name", CASES)
def test_state_and_load_carry_everything_that_the_next_rounds_depend_on(name: str) -> None:
    consensus, fresh, reports = CASES[name]
    fresh.load(consensus.state())
    assert written(fresh) == written(consensus) == pb.Instruction()
    consensus.update(reports)
    fresh.load({key: tensor.clone() for key, tensor in consensus.state().items()})
    assert written(fresh) == written(consensus)
    for one in (consensus, fresh):  # the frame of the next round follows that of this one
        one.update(reports[::-1])
    assert written(fresh) == written(consensus)
