"""The terms of VoCo by hand."""

import math

import pytest
import torch

from nnunetv2_pcrl.methods.voco.loss import (
    constant_similarity,
    cost,
    negative,
    of_next_image,
    positive,
    regulariser,
    similarities,
)

FORMS = ("tpami", "cvpr")
WRONG = -math.log(1e-6)
FOUR_QUARTERS = torch.tensor([[[0.25, 0.25, 0, 0.25, 0.25, 0, 0, 0, 0]]])
ONE_HOT = torch.eye(9)[None, :1]


def same(value: float, overlap: torch.Tensor) -> torch.Tensor:
    return torch.full_like(overlap, value)


@pytest.mark.parametrize(
    ("overlap", "similarity", "expected"),
    [
        # -ln 0.75, -ln 0.25, and the logarithm's floor.
        (FOUR_QUARTERS, 0.0, 0.28768),
        (FOUR_QUARTERS, 1.0, 1.38629),
        (ONE_HOT, 0.0, 13.8155),
        (ONE_HOT, 1.0, 0.0),
        (ONE_HOT, 0.5, 0.69315),
    ],
)
def test_the_positive_term_of_constant_similarities(overlap, similarity, expected):
    found = positive(same(similarity, overlap), overlap)
    assert float(found) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("form", "expected"), [("tpami", 13.8155), ("cvpr", 1.0)])
def test_the_negative_term_of_wrong_similarities(form, expected):
    assert float(negative(same(1.0, FOUR_QUARTERS), FOUR_QUARTERS, form)) == pytest.approx(
        expected, abs=1e-4
    )
    assert float(negative(same(0.0, FOUR_QUARTERS), FOUR_QUARTERS, form)) == 0.0


@pytest.mark.parametrize("form", FORMS)
def test_what_is_told_exactly_costs_nothing_and_nothing_costs_less(form):
    assert float(positive(FOUR_QUARTERS, FOUR_QUARTERS)) == 0.0
    assert float(negative(FOUR_QUARTERS, FOUR_QUARTERS, form)) == 0.0
    # The authors' logarithm of 1 + 1e-6 is below 0 here.
    assert float(cost(torch.zeros(()))) == 0.0
    assert float(cost(torch.ones(()))) == pytest.approx(WRONG, rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_every_image_counts_alike_however_many_base_crops_it_overlaps(form):
    overlap = torch.cat([FOUR_QUARTERS, ONE_HOT])
    similarity = torch.rand(2, 1, 9, generator=torch.Generator().manual_seed(0))
    for term in (positive, lambda s, o: negative(s, o, form)):
        alone = [term(similarity[i : i + 1], overlap[i : i + 1]) for i in range(2)]
        torch.testing.assert_close(term(similarity, overlap), sum(alone) / 2)


def test_overlaps_of_nothing_give_terms_of_nothing():
    # What a teacher may say of another image: no similarity at all, or some to every crop.
    assert float(positive(same(0.3, ONE_HOT), same(0.0, ONE_HOT))) == 0.0
    assert float(negative(same(0.3, ONE_HOT), same(0.2, ONE_HOT), "tpami")) == 0.0


@pytest.mark.parametrize(
    ("bases", "expected"),
    [
        ([[1.0, 0.0], [2.0, 0.0]], 1.0),
        ([[1.0, 0.0], [0.0, 3.0]], 0.0),
        # 60 degrees: half, squared.
        ([[1.0, 0.0], [0.5, math.sqrt(0.75)]], 0.25),
        ([[1.0, 0.0], [-1.0, 0.0]], 0.0),
        # Of three pairs one is the same.
        ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 1 / 3),
    ],
)
def test_the_regulariser_is_the_mean_squared_similarity_of_pairs(bases, expected):
    assert float(regulariser(torch.tensor([bases]))) == pytest.approx(expected, abs=1e-6)


def test_every_base_crop_gets_gradient_from_the_regulariser_the_last_one_too():
    bases = torch.rand(2, 5, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    regulariser(bases).backward()
    assert (bases.grad.norm(dim=2) > 1e-3).all()


def test_similarities_are_cosines_without_what_is_negative():
    queries = torch.tensor([[[3.0, 0.0]]])
    bases = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [-1.0, 0.0]]])
    found = similarities(queries, bases)[0, 0].tolist()
    assert found == pytest.approx([1, math.sqrt(0.5), 0, 0])


def test_gradients_of_wholly_wrong_similarities_are_finite_in_single_precision():
    for overlap, wrong in ((ONE_HOT, 0.0), (same(0.0, ONE_HOT), 1.0)):
        similarity = same(wrong, ONE_HOT).requires_grad_()
        (positive(similarity, overlap) + negative(similarity, overlap, "tpami")).backward()
        assert torch.isfinite(similarity.grad).all()
        # More than half precision holds.
        assert similarity.grad.abs().max() > 65504


def test_the_next_image_of_the_last_one_is_the_first_and_none_is_its_own():
    bases = torch.arange(3.0)[:, None, None].expand(3, 2, 4)
    assert of_next_image(bases)[:, 0, 0].tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match='needs two images: enlarge "batch_size"'):
        of_next_image(bases[:1])


def test_the_best_constant_similarity_of_a_single_overlap():
    # -ln c - ln(1 - c) is least at one half, -ln c + c^2 at the root of one half.
    found = [float(v) for v in constant_similarity(ONE_HOT, "tpami")]
    assert found == pytest.approx([math.log(2)] * 2, abs=1e-5)
    found = [float(v) for v in constant_similarity(ONE_HOT, "cvpr")]
    assert sum(found) == pytest.approx(0.5 * math.log(2) + 0.5, abs=1e-3)


def test_a_constant_similarity_on_uniform_queries_of_a_3_by_3_grid_costs_0_59():
    starts = torch.arange(129)
    of_axis = (1 - (starts[:, None] - 64 * torch.arange(3)).abs() / 64).clamp_min(0)
    overlap = (of_axis[:, None, :, None] * of_axis[None, :, None, :]).reshape(1, -1, 9)
    # Along an axis, sum of l^2 is 1 at its last start and (2n^2 + 1) / 3n in n starts of a cell;
    # for any start, not only whole voxels, its mean is 2/3.
    mean = (2 * (2 * 64**2 + 1) / (3 * 64) + 1) / 129
    assert float(overlap.square().sum(dim=2).mean()) == pytest.approx(mean**2, abs=1e-5)
    assert mean**2 == pytest.approx((2 / 3) ** 2, abs=5e-3)
    parts = [float(v) for v in constant_similarity(overlap, "tpami")]
    assert sum(parts) == pytest.approx(0.589, abs=1e-3)
