"""The balanced order of candidates."""

import pytest
import torch

from nnunetv2_pcrl.tasks.nodules.batches import BalancedOrder

LABELS = torch.tensor([1.0] * 5 + [0.0] * 24)
every_ratio = pytest.mark.parametrize("negatives", [1, 2, 3])


@every_ratio
def test_batches_keep_the_ratio_and_see_all_of_a_class_equally_often(negatives):
    batch_size = 2 * (1 + negatives)
    order = BalancedOrder(LABELS, negatives, seed=0)
    drawn = torch.tensor([order.row(number) for number in range(60 * batch_size)])
    assert (LABELS[drawn].view(60, batch_size).sum(1) == 2).all()
    counts = torch.bincount(drawn, minlength=29)
    for value in (0, 1):
        of_class = counts[LABELS.eq(value)]
        assert of_class.max() - of_class.min() <= 1


@every_ratio
def test_a_sample_is_a_function_of_seed_and_number(negatives):
    first, second = (BalancedOrder(LABELS, negatives, seed=3) for _ in range(2))
    forwards = [first.row(number) for number in range(100)]
    assert [second.row(number) for number in range(99, -1, -1)] == forwards[::-1]
    other = BalancedOrder(LABELS, negatives, seed=4)
    assert [other.row(number) for number in range(100)] != forwards


def test_turns_are_shuffled_anew():
    order = BalancedOrder(LABELS, 1, seed=0)
    nodules = [order.row(2 * number) for number in range(30)]
    turns = {tuple(nodules[start : start + 5]) for start in range(0, 30, 5)}
    assert len(turns) > 1 and all(sorted(turn) == [0, 1, 2, 3, 4] for turn in turns)


@pytest.mark.parametrize(
    ("labels", "negatives", "message"),
    [
        ([1, 0], 4, "it can be 1 to 3"),
        ([1, 0], 0, "it can be 1 to 3"),
        ([0, 0], 1, "There are 0 nodules and 2 other"),
        ([1, 1], 1, "There are 2 nodules and 0 other"),
    ],
)
def test_an_order_that_cannot_be_kept_is_refused(labels, negatives, message):
    with pytest.raises(ValueError, match=message):
        BalancedOrder(torch.tensor(labels), negatives, seed=0)
