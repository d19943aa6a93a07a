"""Ranks of right answers among wrong ones, and the sums that figures are made of, which add up over nodes.

Legend: Q questions, A answers, the right one first.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

AMONG = 10


class RankingSums(NamedTuple):
    """Sums over questions.

    Attributes:
        questions: how many there were.
        reciprocal_ranks: 1 / rank of the right answer.
        first: right answers ranked first.
        among_ten: right answers among the first ten.
        chance: what the reciprocal rank is worth on average when answers are ranked by chance.
    """

    questions: int
    reciprocal_ranks: float
    first: int
    among_ten: int
    chance: float


def right_ranks(score_QA: Tensor, there_QA: Tensor) -> Tensor:
    """Rank [Q] of each right answer, the first column: 1 + wrong answers above it + half of those that tie with it.

    Args:
        score_QA: the higher, the better.
        there_QA: which answers there are, bool; right ones always are.
    """
    wrong_QA, right_Q1 = score_QA[:, 1:], score_QA[:, :1]
    above_Q = ((wrong_QA > right_Q1) & there_QA[:, 1:]).sum(1)
    tied_Q = ((wrong_QA == right_Q1) & there_QA[:, 1:]).sum(1)
    return 1 + above_Q + tied_Q.double() / 2


def ranking_sums(rank_Q: Tensor, answers_Q: Tensor) -> RankingSums:
    """The sums of ranks [Q], each among that many answers [Q]."""
    answers_Q = answers_Q.double()
    harmonic_Q = torch.digamma(answers_Q + 1) - torch.digamma(torch.ones_like(answers_Q))  # 1 + 1/2 + ... + 1/A
    return RankingSums(
        questions=len(rank_Q),
        reciprocal_ranks=float((1 / rank_Q).sum()),
        first=int((rank_Q <= 1).sum()),
        among_ten=int((rank_Q <= AMONG).sum()),
        chance=float((harmonic_Q / answers_Q).sum()),
    )
