"""Pseudo-labels of a whole set of samples: fitted to a class prior, the most confident first.

Legend: N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

SINKHORN_STEPS = 20


def missing_prior(y_N: Tensor, classes: int) -> Tensor:
    """Class prior [C] of the samples without a label, if all samples together were spread evenly. Source: ours.

    Args:
        y_N: labels of all samples, -1 where there is none, shape [N].
        classes: C.

    Returns:
        Shares that sum to one: what each class lacks of N / C, and a hundredth of that share as the least.
    """
    labelled_C = torch.bincount(y_N[y_N >= 0], minlength=classes).double()
    even = len(y_N) / classes
    lacking_C = (even - labelled_C).clamp_min(0.01 * even)
    return lacking_C / lacking_C.sum()


def fit_prior(probability_NC: Tensor, prior_C: Tensor) -> Tensor:
    """Probabilities rescaled so that their mean over the samples is the prior and each row sums to one.

    Sinkhorn-Knopp scaling of rows and columns, as for self-labelling in Asano et al. (ICLR 2020).

    Args:
        probability_NC: class probabilities, shape [N, C].
        prior_C: class prior, positive, sums to one, shape [C].
    """
    fitted_NC = probability_NC.double().clamp_min(1e-12)
    for _ in range(SINKHORN_STEPS):
        fitted_NC = fitted_NC * (prior_C * len(fitted_NC) / fitted_NC.sum(0))
        fitted_NC = fitted_NC / fitted_NC.sum(1, keepdim=True)
    return fitted_NC.to(probability_NC.dtype)


def confident_share(probability_NC: Tensor, share: float) -> Tensor:
    """The most confident `share` of the samples of each predicted class, shape [N], bool; at least one of each.

    A share of each class, not a threshold for all, keeps easy classes from crowding out the others.
    """
    confidence_N, label_N = probability_NC.max(1)
    kept_N = torch.zeros(len(label_N), dtype=torch.bool)
    for label in label_N.unique().tolist():
        members = torch.nonzero(label_N == label).flatten()
        count = max(1, round(share * len(members)))
        kept_N[members[confidence_N[members].argsort(descending=True, stable=True)[:count]]] = True
    return kept_N
