"""Rows of tables: age, laboratory values and the ward of a stay.

Legend: B batch, K columns, I columns of numbers, J columns of names, W waves, D token width, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import quote, unquote

import torch
from torch import Generator, Tensor, nn

from client_app.encoders.encoder import TOKENS, Encoder, Positions, Tokens
from concord.errors import ConcordError

TABLE = "table:"  # before the columns
MOST_COLUMNS = 1024
BYTES = 3  # of the code of a name: every code is exact in float32
WAVES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # radians a unit of the natural logarithm
JITTER = 0.03  # deviation of the strongest view, as a share of a number
LEFT_OUT = 0.2  # share of the cells that the strongest view leaves out


class Column(NamedTuple):
    """One column: its name, and whether its cells are names (of wards, of drugs) and not numbers."""

    name: str
    of_names: bool


class TableTokeniser(nn.Module):
    """Cells [B, K, 2] (value or code of a name; whether it is known) -> up to 16 tokens [B, L, D].

    A number is seen on a signed logarithmic scale, as waves of eight lengths with weights of its column (periodic embeddings,
    Gorishniy et al., arXiv 2203.05556), so its unit does not matter and nobody has to tell means to anybody. A name is the sum
    of the embeddings of the bytes of its code (Bloom embeddings, Serrà & Karatzoglou, arXiv 1706.03993), so parties need no
    list of names. Up to 16 columns are a token each; of more, neighbours are added. What is not known is left out.
    """

    is_name_K: Tensor
    token_KL: Tensor

    def __init__(self, columns: Sequence[Column], width: int) -> None:
        super().__init__()
        tokens, numbers = min(TOKENS, len(columns)), sum(not column.of_names for column in columns)
        self.column = nn.Parameter(torch.randn(len(columns), width))
        self.number = nn.Parameter(torch.randn(numbers, 2 * len(WAVES), width) / len(WAVES) ** 0.5)
        self.name = nn.Embedding(256 * BYTES, width)
        self.positions = Positions(tokens, width)
        token_K = torch.arange(len(columns)) * tokens // len(columns)
        self.register_buffer("token_KL", nn.functional.one_hot(token_K, tokens).float(), persistent=False)
        self.register_buffer("is_name_K", torch.tensor([column.of_names for column in columns]), persistent=False)

    def forward(self, x_BK2: Tensor) -> Tokens:
        value_BK, known_BK = x_BK2.unbind(-1)
        cell_BKD = self.column.expand(len(value_BK), -1, -1).clone()
        cell_BKD[:, ~self.is_name_K] += self._numbers(value_BK[:, ~self.is_name_K])
        cell_BKD[:, self.is_name_K] += self._names(value_BK[:, self.is_name_K])
        hidden_BDL = torch.einsum("bkd,bk,kl->bdl", cell_BKD, known_BK, self.token_KL)
        return Tokens(self.positions(hidden_BDL), known_BK @ self.token_KL > 0)

    def _numbers(self, value_BI: Tensor) -> Tensor:
        phase_BIW = value_BI.asinh()[..., None] * value_BI.new_tensor(WAVES)
        return torch.einsum("biw,iwd->bid", torch.cat([phase_BIW.sin(), phase_BIW.cos()], -1), self.number)

    def _names(self, code_BJ: Tensor) -> Tensor:
        bytes_BJn = torch.stack([(code_BJ.long() >> 8 * n & 255) + 256 * n for n in range(BYTES)], -1)
        embedded: Tensor = self.name(bytes_BJn)
        return embedded.sum(-2)


def augment(is_name_K: Tensor, x_BK2: Tensor, strength: float, generator: Generator) -> Tensor:
    """Another look at the same row: cells left out, but never all that are known, and small changes of numbers."""
    value_BK, known_BK = x_BK2.unbind(-1)
    noise_BK = JITTER * strength * torch.randn(value_BK.shape, generator=generator)
    draw_BK = torch.rand(value_BK.shape, generator=generator).where(known_BK > 0, -1.0)
    kept_BK = (draw_BK > LEFT_OUT * strength) | (draw_BK == draw_BK.amax(1, keepdim=True))
    view_BK = value_BK.where(is_name_K, value_BK * (1 + noise_BK))
    return torch.stack([view_BK, known_BK * kept_BK], -1)


def table_encoder(columns: str) -> Encoder:
    """The encoder of rows with these columns, as `written` writes them; ConcordError C204 for what are none."""
    found = columns_of(columns)
    is_name_K = torch.tensor([column.of_names for column in found])
    return Encoder(f"table-cells-1 {written(found)}", partial(TableTokeniser, found), partial(augment, is_name_K))


def written(columns: Sequence[Column]) -> str:
    """Columns as they stand in the name of an encoder: ``age+sodium+ward*``, a star behind those of names."""
    return "+".join(quote(column.name, safe="") + "*" * column.of_names for column in columns)


def columns_of(text: str) -> tuple[Column, ...]:
    """The columns that a text tells of; ConcordError C204."""
    columns = tuple(Column(unquote(part.removesuffix("*")), part.endswith("*")) for part in text.split("+"))
    names = {column.name for column in columns}
    if "" in names or len(names) < len(columns) or len(columns) > MOST_COLUMNS:
        hint = f"write 1 to {MOST_COLUMNS} columns after {TABLE!r}, as table:age+sodium+ward*, each once; a star: of names"
        raise ConcordError("C204", f"encoders: {TABLE}{text[:200]} tells of no columns", hint)
    return columns
