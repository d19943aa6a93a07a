"""Words as sequences of character codes in any script.

Legend: B batch, S characters, D token width, L tokens.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from client_app.encoders.encoder import Encoder, Positions, Tokens

CODES, PADDING, CHARACTERS = 2048, 0, 24
DROP = 0.15  # share of characters that the strongest view leaves out


class WordTokeniser(nn.Module):
    """Character codes [B, 24] -> one token for every two characters [B, 12, D]; padding is masked."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CODES, 64, padding_idx=PADDING)
        self.convolutions = nn.Sequential(
            nn.Conv1d(64, 128, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(128, width, 4, stride=2, padding=1),
        )
        self.positions = Positions(CHARACTERS // 2, width)

    def forward(self, code_BS: Tensor) -> Tokens:
        embeds_BLD = self.positions(self.convolutions(self.embedding(code_BS).transpose(1, 2)))
        mask_BL = (code_BS != PADDING).view(len(code_BS), -1, 2).any(-1)
        mask_BL[:, 0] = True  # a word whose characters were all dropped still needs one token
        return Tokens(embeds_BLD, mask_BL)


def augment(code_BS: Tensor, strength: float, generator: Generator) -> Tensor:
    """A word with some characters lost."""
    dropped_BS = torch.rand(code_BS.shape, generator=generator) < DROP * strength
    return code_BS.masked_fill(dropped_BS, PADDING)


ENCODER = Encoder("word-conv-1", WordTokeniser, augment)
