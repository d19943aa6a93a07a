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
        method: adds its penalties on the weights to every step.
        config: learning rate, weight decay and the bound of the gradient's norm.
        round_: from 1; the learning rate falls with it.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], method: Method, config: RunConfig, round_: int) -> None:
        self.parameters, self._method, self._clip_norm = parameters, method, config.clip_norm
        self._optimiser = torch.optim.AdamW(
            parameters, lr=learning_rate(config, round_), weight_decay=config.weight_decay, fused=True
        )
        self._start = [p.detach().clone() for p in parameters] if method.pulls_back else []
        self._sums: dict[str, float] = defaultdict(float)
        self._steps = 0

    def step(self, terms: Iterable[tuple[str, Tensor]]) -> None:
        """One step on the sum of the named scalar terms; a name may come more than once."""
        self._optimiser.zero_grad()
        total = torch.zeros((), device=self.parameters[0].device)
        for name, term in (*terms, *self._method.penalties(self.parameters, self._start).items()):
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
