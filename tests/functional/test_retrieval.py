"""Retrieval figures against scikit-learn and a loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from concord.functional import retrieval
from concord.functional.retrieval import retrieval_scores

examples = settings(max_examples=30, deadline=None, derandomize=True)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@examples
@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(1, 30), st.integers(1, 12))
def test_scores_match_scikit_learn(seed: int, queries: int, items: int, k: int) -> None:
    query_ND, gallery_MD = normal(queries, 4, seed=seed), normal(items, 4, seed=seed + 1)
    generator = torch.Generator().manual_seed(seed)
    query_label_N = torch.randint(3, (queries,), generator=generator)
    gallery_label_M = torch.randint(3, (items,), generator=generator)
    cosine_NM = cosine_similarity(query_ND.numpy(), gallery_MD.numpy())
    precisions, average_precisions = [], []
    for cosine_M, label in zip(cosine_NM, query_label_N, strict=True):
        relevant_M = (gallery_label_M == label).numpy()
        precisions.append(relevant_M[(-cosine_M).argsort()][:k].mean())
        average_precisions.append(average_precision_score(relevant_M, cosine_M) if relevant_M.any() else 0.0)
    scores = retrieval_scores(query_ND, query_label_N, gallery_MD, gallery_label_M, k)
    assert scores == pytest.approx((sum(precisions) / queries, sum(average_precisions) / queries))


def test_equal_cosines_rank_in_the_order_of_the_gallery() -> None:
    query_ND, item_D = normal(1, 5, seed=0), normal(5, seed=1)
    gallery_MD = torch.stack([item_D * scale for scale in (1.0, 3.0, 0.1, 7.0)])
    labels_M = torch.tensor([0, 1, 1, 0])
    assert retrieval_scores(query_ND, torch.tensor([0]), gallery_MD, labels_M, k=2) == pytest.approx((0.5, 0.75))
    assert retrieval_scores(query_ND, torch.tensor([1]), gallery_MD, labels_M, k=2) == pytest.approx((0.5, (1 / 2 + 2 / 3) / 2))


def test_chunks_do_not_change_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (normal(11, 4, seed=2), torch.arange(11) % 3, normal(9, 4, seed=3), torch.arange(9) % 3)
    whole = retrieval_scores(*data, k=4)
    monkeypatch.setattr(retrieval, "_CHUNK", 3)
    assert retrieval_scores(*data, k=4) == pytest.approx(whole)


def test_a_perfect_space_scores_one() -> None:
    axes = torch.eye(3).repeat(2, 1)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    assert retrieval_scores(axes, labels, 5 * axes, labels, k=2) == (1.0, 1.0)


def test_queries_without_a_relevant_item_score_zero() -> None:
    assert retrieval_scores(torch.ones(1, 2), torch.tensor([7]), torch.ones(3, 2), torch.zeros(3)) == (0.0, 0.0)


def test_nothing_to_search_is_rejected() -> None:
    one_ND, label_N = torch.ones(1, 2), torch.zeros(1)
    for arguments in ((one_ND[:0], label_N[:0], one_ND, label_N), (one_ND, label_N, one_ND[:0], label_N[:0])):
        with pytest.raises(ValueError, match="needs queries"):
            retrieval_scores(*arguments)
    with pytest.raises(ValueError, match="needs queries"):
        retrieval_scores(one_ND, label_N, one_ND, label_N, k=0)
    with pytest.raises(ValueError, match="labels for"):
        retrieval_scores(one_ND, torch.zeros(2), one_ND, label_N)
