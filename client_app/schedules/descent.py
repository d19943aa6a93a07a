"""Optimiser steps of a round, and the mean of each term of the objective over them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

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
        self._accumulate = config.accumulate
        self._optimiser = torch.optim.AdamW(
            parameters, lr=learning_rate(config, round_), weight_decay=config.weight_decay, fused=True
        )
        self._start = [p.detach().clone() for p in parameters] if method is not None and method.pulls_back else []
        self._sums: dict[str, float] = defaultdict(float)
        self._batches = 0

    def step(self, batch: Callable[[], Iterable[tuple[str, Tensor]]]) -> None:
        """One step on the mean over `accumulate` batches of the sum of the terms.

        Args:
            batch: draws the next batch and gives its named scalar terms; a name may come more than once. Only the graph of
                one batch is in memory at a time.
        """
        self._optimiser.zero_grad()
        learns = [self._add_gradients(batch()) for _ in range(self._accumulate)]
        if any(learns):
            torch.nn.utils.clip_grad_norm_(self.parameters, self._clip_norm)
            self._optimiser.step()

    def _add_gradients(self, terms: Iterable[tuple[str, Tensor]]) -> bool:
        """Adds the share of one batch to the gradients; whether it has any."""
        total = torch.zeros((), device=self.parameters[0].device)
        penalties = self._method.penalties(self.parameters, self._start) if self._method is not None else {}
        for name, term in (*terms, *penalties.items()):
            total = total + term
            self._sums[name] += float(term.detach())
        if total.requires_grad:
            (total / self._accumulate).backward()
        self._sums[TOTAL] += float(total.detach())
        self._batches += 1
        return total.requires_grad

    def means(self) -> dict[str, float]:
        """Mean of each term over the batches, and their ``total``."""
        return {name: value / self._batches for name, value in self._sums.items()}


def learning_rate(config: RunConfig, round_: int) -> float:
    """Cosine decay over the rounds, from `lr` to a tenth of it."""
    progress = (round_ - 1) / max(1, config.rounds - 1)
    return config.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
