"""The contrast by hand, and against its formula view by view."""

import math

import pytest
import torch

from nnunetv2_pcrl.losses.info_nce import nt_xent


def literal(first, second, temperature: float) -> float:
    rows = [*first.unbind(), *second.unbind()]
    count = len(first)

    def similarity(i: int, k: int) -> float:
        return float(rows[i] @ rows[k] / (rows[i].norm() * rows[k].norm()) / temperature)

    total = 0.0
    for i in range(2 * count):
        own = math.exp(similarity(i, (i + count) % (2 * count)))
        total -= math.log(own / sum(math.exp(similarity(i, k)) for k in range(2 * count) if k != i))
    return total / (2 * count)


def views(count: int, size: int = 5):
    generator = torch.Generator().manual_seed(count)
    return torch.randn(2, count, size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("count", "temperature"), [(2, 0.5), (3, 0.1), (8, 1.0)])
def test_it_is_the_formula(count, temperature):
    first, second = views(count)
    found = nt_xent(first, second, temperature)
    assert float(found) == pytest.approx(literal(first, second, temperature), rel=1e-12)


@pytest.mark.parametrize(("count", "expected"), [(8, 2.7081), (2, 1.0986), (32, 4.1431)])
def test_embeddings_that_are_all_the_same_cost_the_logarithm_of_the_other_views(count, expected):
    same = torch.ones(count, 4)
    assert float(nt_xent(same, 3 * same, 0.5)) == pytest.approx(expected, abs=1e-4)


def test_images_at_right_angles_cost_what_the_temperature_leaves():
    images = torch.eye(4)
    # ln(1 + 6 e^-2).
    assert float(nt_xent(images, images, 0.5)) == pytest.approx(0.5944, abs=1e-4)
    assert float(nt_xent(images, images, 0.01)) == pytest.approx(0.0, abs=1e-6)


def test_both_views_get_gradient_and_may_change_places():
    first, second = views(4).unbind()
    first, second = first.requires_grad_(), second.requires_grad_()
    loss = nt_xent(first, second, 0.5)
    loss.backward()
    assert (first.grad.norm(dim=1) > 0).all() and (second.grad.norm(dim=1) > 0).all()
    torch.testing.assert_close(nt_xent(second, first, 0.5), loss)


def test_the_length_of_an_embedding_says_nothing():
    first, second = views(4)
    torch.testing.assert_close(nt_xent(7 * first, second, 0.5), nt_xent(first, second, 0.5))


@pytest.mark.parametrize(
    ("first", "second", "temperature", "message"),
    [
        (torch.ones(3, 2), torch.ones(2, 2), 0.5, r"got \(3, 2\) and \(2, 2\)"),
        (torch.ones(1, 2), torch.ones(1, 2), 0.5, "at least two images"),
        (torch.ones(2), torch.ones(2), 0.5, r"views \[N, F\]"),
        (torch.ones(2, 2), torch.ones(2, 2), 0.0, "must be above 0, got 0"),
    ],
)
def test_what_cannot_be_contrasted_is_refused(first, second, temperature, message):
    with pytest.raises(ValueError, match=message):
        nt_xent(first, second, temperature)
