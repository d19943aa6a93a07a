"""Class means of features that parties have in common, and what they say of a node: ours, for STAGE.

Anchors drawn by chance say nothing of classes, so a party cannot learn from their prototypes what a class is like that none of
its labels have. The mean of what labelled nodes have around them can, in a few numbers a class: on citation graphs the nearest
mean by cosine, without any training, is near a network that has all data in one place. It is the class prototype of Snell et
al. (NeurIPS 2017) on the smoothed features of Wu et al. (SGC, ICML 2019). Whether the features of others mean the same as one's
own is not taken on faith: all parties together count on their labelled nodes whether the means of all tell more than own ones.
One party alone has too few of them to see it.

Legend: N nodes, E directed edges, F features, C classes, M modalities.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from concord.functional.propagation import sum_at_target
from concord.functional.rows import unit_rows


def smoothed(x_NF: Tensor, present_N: Tensor, edge_2E: Tensor, hops: int) -> tuple[Tensor, Tensor]:
    """Mean features [N, F] of each node and its neighbours, `hops` times, and which nodes [N] have anything within reach.

    Nodes that are not `present` add nothing to any mean; the row of a node with nothing within reach is zero.
    """
    weight_N1 = present_N.to(x_NF.dtype)[:, None]
    size_N1 = 1 + sum_at_target(torch.ones_like(edge_2E[1], dtype=x_NF.dtype), edge_2E, len(x_NF))[:, None]
    sum_NF = x_NF * weight_N1
    for _ in range(hops):
        sum_NF, weight_N1 = (
            (value + sum_at_target(value.index_select(0, edge_2E[0]), edge_2E, len(x_NF))) / size_N1
            for value in (sum_NF, weight_N1)
        )
    known_N1 = weight_N1 > 0
    return torch.where(known_N1, sum_NF / weight_N1.masked_fill(~known_N1, 1), 0), known_N1[:, 0]


def class_cosines(x_NF: Tensor, mean_CF: Tensor, has_C: Tensor) -> Tensor:
    """Cosine [N, C] of each node with each class mean, both seen from the middle of the means; 0 for a class that has none."""
    middle_F = _middle(mean_CF, has_C)
    return unit_rows(x_NF - middle_F) @ unit_rows((mean_CF - middle_F) * has_C[:, None]).T


def _middle(mean_CF: Tensor, has_C: Tensor) -> Tensor:
    """Mean [F] of the class means; zero where no class has one."""
    return mean_CF[has_C].mean(dim=0) if bool(has_C.any()) else torch.zeros_like(mean_CF[0])


def mean_cosines(cosines: Sequence[Tensor], seen: Sequence[Tensor]) -> Tensor:
    """Mean [N, C] over modalities of the cosines with the class means; minus infinity where no modality knows.

    Args:
        cosines: [N, C] of each modality.
        seen: [N, C] of each, where it has a say: the node has the modality, and the class a mean in it.
    """
    seen_MNC = torch.stack(tuple(seen))
    sum_NC = (torch.stack(tuple(cosines)) * seen_MNC).sum(dim=0)
    count_NC = seen_MNC.sum(dim=0)
    return torch.where(count_NC > 0, sum_NC / count_NC.clamp(min=1), -torch.inf)


def left_out_cosines(x_NF: Tensor, y_N: Tensor, mean_CF: Tensor, count_C: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines [N, C] of labelled nodes with means that they are part of, that of a node's class without the node itself.

    The middle of the means keeps the node, whose part in it is small.

    Args:
        x_NF: nodes that are among those that the means are of.
        y_N: their classes.

    Returns:
        The cosines, and where there is one: not with the class of which a node is the only one, nor with a class of nobody.
    """
    left_N1 = count_C[y_N][:, None] - 1
    middle_F = _middle(mean_CF, count_C > 0)
    rest_NF = (mean_CF[y_N] * (left_N1 + 1) - x_NF) / left_N1.clamp(min=1)
    own_N = (unit_rows(x_NF - middle_F) * unit_rows(rest_NF - middle_F)).sum(dim=1)
    is_own_NC = y_N[:, None] == torch.arange(len(count_C), device=y_N.device)
    cosine_NC = torch.where(is_own_NC, own_N[:, None], class_cosines(x_NF, mean_CF, count_C > 0))
    return cosine_NC, torch.where(is_own_NC, left_N1 > 0, count_C > 0)


def right_answers(cosine_NC: Tensor, y_N: Tensor) -> int:
    """Nodes that are nearest to the mean of their class; one that no mean is known for is not right."""
    if not len(y_N):
        return 0
    highest_N, nearest_N = cosine_NC.max(dim=1)
    return int(((nearest_N == y_N) & highest_N.isfinite()).sum())


def is_worth_it(right: int, right_alone: int, right_bare: int) -> bool:
    """Whether the means of all tell more labelled nodes of all parties than those of each party alone, smoothed or bare."""
    return right > max(right_alone, right_bare)


def class_targets(cosine_NC: Tensor, labelled_C: Tensor, temperature: float, pseudo_count: float) -> Tensor:
    """What class means say of each node: shares [N, C] of the classes times how much they count for it; 0 where they say nothing.

    Shares are the softmax of the cosines divided by the temperature. They count the less the more a party knows of these classes
    itself: what others tell of a class is like `pseudo_count` labelled nodes beside a party's own, n0 / (n0 + n_c); where it has
    none, that is all there is, 1. The mean of that by the shares is one number a node, so that no class is favoured.

    Args:
        labelled_C: nodes n_c of each class that the party learns from.
    """
    open_C = torch.where(labelled_C == 0, 1.0, pseudo_count / (pseudo_count + labelled_C))
    told_N1 = cosine_NC.isfinite().any(dim=1, keepdim=True)
    said_NC = (cosine_NC.masked_fill(~told_N1, 0) / temperature).softmax(dim=1)
    return torch.where(told_N1, said_NC * (said_NC @ open_C)[:, None], 0)


def grounding_loss(out_NC: Tensor, target_NC: Tensor) -> Tensor:
    """Mean over nodes of the cross-entropy of logits against weighted targets: ``-sum_c target_c log softmax(out)_c``."""
    return -(target_NC * out_NC.log_softmax(dim=1)).sum(dim=1).mean()
