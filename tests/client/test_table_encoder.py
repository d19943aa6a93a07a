"""The tokeniser of rows of tables, and its augmentation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from client_app.data.preparation.registry import preparation_of
from client_app.encoders import encoder_of
from client_app.encoders.encoder import Encoder
from client_app.encoders.table import Column, columns_of, table_encoder, written
from concord.config import RunConfig
from concord.errors import ConcordError

COLUMNS = "age+sodium+ward*"
ROWS = ({"age": 40, "sodium": 140.5, "ward": "B"}, {"age": "71", "sodium": None, "ward": "west"}, {"ward": "b "})


def cells(columns: str = COLUMNS, rows: tuple[dict[str, object], ...] = ROWS) -> Tensor:
    return preparation_of(f"table:{columns}").prepare_all(rows)


def wide(columns: int) -> str:
    return "+".join(f"c{k}" for k in range(columns))


def test_a_row_becomes_values_codes_and_what_is_known() -> None:
    x_BK2 = cells()
    assert x_BK2[..., 1].tolist() == [[1, 1, 1], [1, 0, 1], [0, 0, 1]]
    assert x_BK2[:2, 0, 0].tolist() == [40, 71]
    code_B = x_BK2[:, 2, 0]
    assert code_B[0] == code_B[2] != code_B[1]  # of a name, whatever its case
    assert all(code == int(code) < 2**24 for code in code_B.tolist())


def test_a_name_of_one_column_is_another_in_another_column() -> None:
    assert len({float(x) for x in cells("ward*+clinic*", ({"ward": "B", "clinic": "B"},))[0, :, 0]}) == 2


def test_cells_that_are_no_numbers_and_rows_without_a_value_are_refused() -> None:
    for row in ({"age": "old"}, {"age": "1e39"}, {"age": "inf"}):
        with pytest.raises(ConcordError, match=r"C206.*age.*is no number"):
            cells("age", (row,))
    with pytest.raises(ConcordError, match=r"C206.*without a value in any of age, sodium"):
        cells("age+sodium", ({"age": "nan", "sodium": "", "ward": "B"},))


def encoder(columns: str) -> Encoder:
    return encoder_of(RunConfig(encoders=f"labs=table:{columns}"), "labs")


@pytest.mark.parametrize(("columns", "tokens"), [(1, 1), (16, 16), (17, 16), (100, 16)])
def test_a_column_is_a_token_and_neighbours_share_one_where_there_are_many(columns: int, tokens: int) -> None:
    names = wide(columns)
    x_BK2 = cells(names, tuple({name: float(i) for name in names.split("+")} for i in range(3)))
    embeds_BLD, mask_BL = encoder(names).build(32)(x_BK2)
    assert embeds_BLD.shape == (3, tokens, 32)
    assert embeds_BLD.isfinite().all()
    assert mask_BL is not None
    assert mask_BL.all()


def test_a_cell_that_is_not_known_is_masked_and_its_value_does_not_matter() -> None:
    tokeniser = encoder(COLUMNS).build(32)
    x_BK2 = cells()
    embeds_BLD, mask_BL = tokeniser(x_BK2)
    assert mask_BL is not None
    assert mask_BL.tolist() == [[True] * 3, [True, False, True], [False, False, True]]
    other_BK2 = x_BK2.clone()
    other_BK2[1, 1, 0] = 99
    assert torch.equal(tokeniser(other_BK2).embeds_BLD, embeds_BLD)


def test_numbers_of_any_size_give_finite_tokens_and_gradients_and_differ() -> None:
    tokeniser = encoder("a").build(32)
    x_BK2 = cells("a", tuple({"a": a} for a in (0, 1e-3, -1e-3, 0.5, 37.0, 37.5, -37.0, 1e30)))
    embeds_BLD = tokeniser(x_BK2).embeds_BLD
    embeds_BLD.square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in tokeniser.parameters())
    distance_BB = torch.cdist(embeds_BLD.flatten(1), embeds_BLD.flatten(1)).fill_diagonal_(1)
    assert distance_BB.min() > 1e-4
    assert distance_BB[4, 5] > 0.1


@given(strength=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_a_view_keeps_a_cell_of_each_row_and_never_makes_one_up(strength: float, seed: int) -> None:
    x_BK2 = cells()
    view_BK2 = encoder(COLUMNS).augment(x_BK2, strength, torch.Generator().manual_seed(seed))
    assert torch.equal(view_BK2, encoder(COLUMNS).augment(x_BK2, strength, torch.Generator().manual_seed(seed)))
    assert (view_BK2[..., 1] <= x_BK2[..., 1]).all()
    assert (view_BK2[..., 1].sum(1) >= 1).all()
    assert torch.equal(view_BK2[:, 2, 0], x_BK2[:, 2, 0])  # names stay
    assert torch.allclose(view_BK2[..., 0], x_BK2[..., 0], rtol=0.3)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(st.lists(st.builds(Column, NAMES, st.booleans()), min_size=1, max_size=6, unique_by=lambda column: column.name))
def test_any_columns_survive_the_name_of_an_encoder(columns: list[Column]) -> None:
    text = written(columns)
    assert columns_of(text) == tuple(columns)
    assert RunConfig(encoders=f"labs=table:{text}").encoder_names == {"labs": f"table:{text}"}


@pytest.mark.parametrize("columns", ["", "a++b", "a+a", "a+a*", "*", wide(1025)])
def test_what_tells_of_no_columns_is_refused(columns: str) -> None:
    with pytest.raises(ConcordError, match="C204"):
        table_encoder(columns)


def test_parties_with_other_columns_are_told_apart() -> None:
    assert encoder("a+b").identity != encoder("a+b*").identity != encoder("b+a").identity
