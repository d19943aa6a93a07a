"""Optimiser steps of a round, and the mean of each term of the objective over them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from client_app.methods import Method
from concord.config import RunConfig

TOTAL = "total"


class Descent:
    """AdamW, made anew each round, on some parameters of a model.

    Args:
        parameters: those that it changes.
        config: learning rate, weight decay and the bound of the gradient's norm.
        round_: from 1; the learning rate falls with it.
        method: adds its penalties on the weights to every step; None: there are none.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], config: RunConfig, round_: int, method: Method | None = None) -> None:
        self.parameters, self._method, self._clip_norm = parameters, method, config.clip_norm
        self._optimiser = torch.optim.AdamW(
            parameters, lr=learning_rate(config, round_), weight_decay=config.weight_decay, fused=True
        )
        self._start = [p.detach().clone() for p in parameters] if method is not None and method.pulls_back else []
        self._sums: dict[str, float] = defaultdict(float)
        self._steps = 0

    def step(self, terms: Iterable[tuple[str, Tensor]]) -> None:
        """One step on the sum of the named scalar terms; a name may come more than once."""
        self._optimiser.zero_grad()
        total = torch.zeros((), device=self.parameters[0].device)
        penalties = self._method.penalties(self.parameters, self._start) if self._method is not None else {}
        for name, term in (*terms, *penalties.items()):
            total = total + term
            self._sums[name] += float(term.detach())
        if total.requires_grad:
            total.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, self._clip_norm)
            self._optimiser.step()
        self._sums[TOTAL] += float(total.detach())
        self._steps += 1

    def means(self) -> dict[str, float]:
        """Mean of each term over the steps, and their ``total``."""
        return {name: value / self._steps for name, value in self._sums.items()}


def learning_rate(config: RunConfig, round_: int) -> float:
    """Cosine decay over the rounds, from `lr` to a tenth of it."""
    progress = (round_ - 1) / max(1, config.rounds - 1)
    return config.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
