"""Contrastive loss between two views of the same instances.

Legend: B instances, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def symmetric_info_nce(first_BD: Tensor, second_BD: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of finding an instance's second view among those of the batch from its first, and the reverse.

    Published: InfoNCE (van den Oord et al. 2018, eq. 4), in the symmetric form of CLIP (Radford et al. 2021), over cosines
    divided by the temperature. Other instances of the same class count as different.

    Returns:
        A scalar; 0 for a single instance.
    """
    cosine_BB = F.normalize(first_BD, dim=1) @ F.normalize(second_BD, dim=1).T / temperature
    own_B = torch.arange(len(cosine_BB), device=cosine_BB.device)
    return (F.cross_entropy(cosine_BB, own_B) + F.cross_entropy(cosine_BB.T, own_B)) / 2
