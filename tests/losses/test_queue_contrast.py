"""The contrast against a queue: hand values, who gets gradient, shapes that are refused."""

import math

import pytest
import torch
import torch.nn.functional as F

from nnunetv2_pcrl.losses.info_nce import info_nce


def rows(count: int, seed: int, size: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, size, generator=generator, dtype=torch.float64), dim=1)


@pytest.mark.parametrize(("size", "expected"), [(16384, 9.7041), (15, 2.7726)])
def test_where_all_keys_look_alike_it_is_the_logarithm_of_their_number(size, expected):
    same = rows(1, 0).expand(3, -1)
    loss = info_nce(same[:1], same[:1], same[:1].expand(size, -1), 0.2)
    assert float(loss) == pytest.approx(expected, abs=5e-5)
    # Keys of other images of the batch count as those of the queue.
    of_three = info_nce(same, same, same[:1].expand(size - 2, -1), 0.2)
    torch.testing.assert_close(of_three, loss)


def test_an_own_key_that_agrees_among_keys_at_right_angles():
    query = torch.tensor([[1.0, 0, 0]])
    queue = torch.tensor([[0, 1.0, 0], [0, 0, 1.0]])
    expected = -math.log(math.exp(5) / (math.exp(5) + 2))
    assert float(info_nce(query, query, queue, 0.2)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [0, 7])
def test_it_is_the_literal_formula(size):
    queries, keys, queue = rows(4, 1), rows(4, 2), rows(7, 3)[:size]
    terms = []
    for query, key in zip(queries, keys, strict=True):
        everything = sum(torch.exp(other @ query / 0.3) for other in (*keys, *queue))
        terms.append(-torch.log(torch.exp(query @ key / 0.3) / everything))
    torch.testing.assert_close(info_nce(queries, keys, queue, 0.3), torch.stack(terms).mean())


def test_queries_alone_get_gradient():
    queries, keys, queue = (rows(4, seed).requires_grad_() for seed in (1, 2, 3))
    info_nce(queries, keys, queue, 0.2).backward()
    assert queries.grad.any() and keys.grad is None and queue.grad is None


def test_keys_of_other_images_of_the_batch_are_as_those_of_the_queue():
    queries, keys, queue = rows(4, 1), rows(4, 2), rows(5, 3)
    alone = []
    for n in range(4):
        others = torch.cat([keys[:n], keys[n + 1 :], queue])
        alone.append(info_nce(queries[n : n + 1], keys[n : n + 1], others, 0.2))
    torch.testing.assert_close(info_nce(queries, keys, queue, 0.2), torch.stack(alone).mean())


def test_mixed_precision_does_not_reach_it():
    queries, keys, queue = (rows(n, n).float() for n in (4, 5, 9))
    keys = keys[:4]
    expected = info_nce(queries, keys, queue, 0.2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(info_nce(queries, keys, queue, 0.2), expected)


def test_shapes_and_temperatures_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"the queue \[K, F\], got \(4, 6\), \(3, 6\)"):
        info_nce(rows(4, 0), rows(3, 0), rows(5, 0), 0.2)
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        info_nce(rows(4, 0), rows(4, 0), rows(5, 0), 0)
