"""The tasks on a graph: what is learnt from its nodes, and how high right answers to questions about it rank.

Links: the dot product of two nodes' embeddings, trained by binary cross-entropy against pairs without an edge, as many as
there are edges (Kipf & Welling 2016, variational graph auto-encoders, without the variational part). Retrieval: the cosine of
embeddings from one modality and from another, trained by InfoNCE in both directions over the nodes to learn from.

Legend: see `client_app.graphs.network`; P pairs, Q questions, A answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations

import torch
from torch import Tensor
from torch.nn import functional as F

from client_app.data.graph import TRAIN, NodeGraph
from client_app.data.questions import NO_NODE
from client_app.graphs.network import GraphNetwork, Seen, with_only
from concord.config import RunConfig
from concord.functional.contrast import symmetric_info_nce
from concord.functional.ranking import RankingSums, ranking_sums, right_ranks
from concord.functional.rows import unit_rows
from concord.graphs import LINKS, direction


def task_loss(network: GraphNetwork, seen: Callable[[], Seen], graph: NodeGraph, config: RunConfig) -> Tensor | None:
    """The loss of the run's task; None where a party has nothing to learn it from.

    Args:
        seen: gives the nodes as the network sees them with all their modalities; not called where the task does not ask for it.
    """
    if config.task == "links":
        return link_loss(seen().out_NO, graph.edges)
    if config.task == "retrieval":
        return retrieval_loss(network, graph, config.graph.retrieval_temperature)
    learnt_N = graph.parts[TRAIN]
    return F.cross_entropy(seen().out_NO[learnt_N], graph.y[learnt_N]) if len(learnt_N) else None


def link_loss(out_NO: Tensor, edge_2E: Tensor) -> Tensor | None:
    """Mean binary cross-entropy of telling edges from as many pairs without one, drawn anew by torch's global generator."""
    if not edge_2E.shape[1]:
        return None
    nodes = len(out_NO)
    drawn_2E = torch.randint(nodes, edge_2E.shape).to(edge_2E.device)
    there_E = torch.isin(drawn_2E[0] * nodes + drawn_2E[1], edge_2E[0] * nodes + edge_2E[1])
    without_2P = drawn_2E[:, ~there_E & (drawn_2E[0] != drawn_2E[1])]
    linked_E, apart_P = ((out_NO[a] * out_NO[b]).sum(1) for a, b in (edge_2E, without_2P))
    loss = F.binary_cross_entropy_with_logits(linked_E, torch.ones_like(linked_E))
    return loss + F.binary_cross_entropy_with_logits(apart_P, torch.zeros_like(apart_P)) if len(apart_P) else loss


def retrieval_loss(network: GraphNetwork, graph: NodeGraph, temperature: float) -> Tensor | None:
    """Mean InfoNCE between each two modalities, over the nodes to learn from that have both."""
    views = {m: network(with_only(graph, m)).out_NO for m in graph.modalities} if len(graph.modalities) > 1 else {}
    losses = []
    for a, b in combinations(views, 2):
        learnt_N = graph.parts[TRAIN]
        both_N = learnt_N[graph.present[a][learnt_N] & graph.present[b][learnt_N]]
        if len(both_N) > 1:
            losses.append(symmetric_info_nce(views[a][both_N], views[b][both_N], temperature))
    return torch.stack(losses).mean() if losses else None


@torch.no_grad()
def rankings(network: GraphNetwork, graph: NodeGraph, config: RunConfig) -> Iterator[tuple[str, str, RankingSums]]:
    """Kind and split of the questions, and how high their right answers rank; none for kinds without a question."""
    if not graph.questions:
        return
    network.eval()
    if config.task == "links":
        out_NO = network(graph).out_NO
        for split, question_QA in graph.questions.items():
            yield from _ranked(LINKS, split, question_QA, out_NO, out_NO)
    else:
        views = {m: unit_rows(network(with_only(graph, m)).out_NO) for m in graph.modalities}
        for a, b in permutations(views, 2):
            for split, question_QA in graph.questions.items():
                asked_QA = _answerable(question_QA, graph.present[a], graph.present[b])
                yield from _ranked(direction(a, b), split, asked_QA, views[a], views[b])


def _ranked(
    kind: str, split: str, question_QA: Tensor, query_NO: Tensor, answer_NO: Tensor
) -> Iterator[tuple[str, str, RankingSums]]:
    """The sums of one kind of questions, if there are any."""
    if len(question_QA):
        node_Q, answer_QA = question_QA[:, 0], question_QA[:, 1:]
        there_QA = answer_QA != NO_NODE
        score_QA = torch.einsum("qo,qao->qa", query_NO[node_Q], answer_NO[answer_QA.clamp(min=0)])
        rank_Q = right_ranks(score_QA, there_QA)
        yield kind, split, ranking_sums(rank_Q.cpu(), there_QA.sum(1).cpu())


def _answerable(question_QA: Tensor, asks_N: Tensor, answers_N: Tensor) -> Tensor:
    """The questions about nodes that have the one modality and whose answer has the other, with the answers that have it."""
    kept_QA = question_QA[asks_N[question_QA[:, 0]] & answers_N[question_QA[:, 1]]]
    has_QA = answers_N[kept_QA.clamp(min=0)] | (torch.arange(kept_QA.shape[1], device=kept_QA.device) == 0)
    return kept_QA.where(has_QA, NO_NODE)
