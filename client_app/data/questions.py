"""Questions about a graph, each with one right answer among others: which node is linked to one, or whose other view it is.

A question is a row [1 + 1 + R]: the node that it is about, the right answer, and wrong ones, `NO_NODE` where there are fewer.
What is asked of a party is about its own nodes; where all data are in one place the same questions are asked, so that
figures can be compared.

Legend: N nodes, E directed edges, P undirected pairs, Q questions, R wrong answers at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from client_app.data.graph import TEST, VALIDATION, NodeGraph
from concord.graphs import Task
from concord.seeding import generator_for

NO_NODE = -1
WRONG = 100
SHARES = {VALIDATION: 0.05, TEST: 0.1}  # of the pairs of a party


def asked_about(graph: NodeGraph, task: Task, seed: int) -> NodeGraph:
    """A party's graph with the questions of a task, and without the edges that they are about."""
    if task == "links":
        return hold_out_links(graph, seed)
    return replace(graph, questions={split: _views(graph, split) for split in SHARES}) if task == "retrieval" else graph


def hold_out_links(graph: NodeGraph, seed: int) -> NodeGraph:
    """Takes out a share of the edges, drawn by the seed, and asks for each of them which node is linked to its first end.

    Wrong answers are drawn from the nodes that the first end has no edge to.
    """
    generator = generator_for(seed, "links", graph.name)
    pair_P2 = graph.edges.T[graph.edges[0] < graph.edges[1]]
    turned_P = torch.rand(len(pair_P2), generator=generator) < 0.5  # or the first end would be the one that came first
    pair_P2 = torch.where(turned_P[:, None], pair_P2.flip(1), pair_P2)[torch.randperm(len(pair_P2), generator=generator)]
    linked_NN = torch.eye(len(graph), dtype=torch.bool)
    linked_NN[graph.edges[0], graph.edges[1]] = True
    questions, begin = {}, 0
    for split, share in SHARES.items():
        held_Q2 = pair_P2[begin : begin + round(share * len(pair_P2))]
        begin += len(held_Q2)
        wrong_QR = [_drawn(torch.nonzero(~linked_NN[node]).flatten(), generator) for node in held_Q2[:, 0].tolist()]
        questions[split] = _rows(held_Q2, wrong_QR)
    return replace(graph, edges=without_pairs(graph.edges, pair_P2[:begin], len(graph)), questions=questions)


def together(whole: NodeGraph, parties: Sequence[NodeGraph], dealt: Sequence[Tensor]) -> NodeGraph:
    """The whole graph with the questions of all parties, whose nodes are `dealt`, and without the edges that they miss."""
    questions = {
        split: _stacked([_of_whole(party.questions[split], index) for party, index in zip(parties, dealt, strict=True)])
        for split in (parties[0].questions if parties else {})
    }
    held = [rows[:, :2] for rows in questions.values()]
    edges = without_pairs(whole.edges, torch.cat(held), len(whole)) if held else whole.edges
    return replace(whole, edges=edges, questions=questions)


def without_pairs(edge_2E: Tensor, pair_P2: Tensor, nodes: int) -> Tensor:
    """The edges but for those between pairs of nodes, in both directions."""
    number_E = edge_2E[0] * nodes + edge_2E[1]
    gone_P = torch.cat([pair_P2[:, 0] * nodes + pair_P2[:, 1], pair_P2[:, 1] * nodes + pair_P2[:, 0]])
    return edge_2E[:, ~torch.isin(number_E, gone_P)]


def _views(graph: NodeGraph, split: str) -> Tensor:
    """For each node of a split: itself, in another view, among all nodes that nobody learns from."""
    held = torch.cat([graph.parts[VALIDATION], graph.parts[TEST]])
    node_Q = graph.parts[split]
    return _rows(torch.stack([node_Q, node_Q], dim=1), [held[held != node] for node in node_Q.tolist()])


def _drawn(candidate_M: Tensor, generator: torch.Generator) -> Tensor:
    return candidate_M[torch.randperm(len(candidate_M), generator=generator)[:WRONG]]


def _rows(right_Q2: Tensor, wrong: Sequence[Tensor]) -> Tensor:
    return _stacked([torch.cat([right_2, wrong_R])[None] for right_2, wrong_R in zip(right_Q2, wrong, strict=True)])


def _of_whole(question_QA: Tensor, index_N: Tensor) -> Tensor:
    return torch.where(question_QA == NO_NODE, NO_NODE, index_N[question_QA.clamp(min=0)])


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """Questions in rows of one length."""
    width = max([2, *(part.shape[1] for part in parts)])
    none = torch.zeros((0, width), dtype=torch.int64)
    return torch.cat([none, *(F.pad(part, (0, width - part.shape[1]), value=NO_NODE) for part in parts)])
