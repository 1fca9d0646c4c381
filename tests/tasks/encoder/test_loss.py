"""Loss: hand values, and what is unknown."""

import math

import pytest
import torch

from nnunetv2_pcrl.tasks.encoder.loss import probabilities, summed_loss

NAN = math.nan


def test_binary_cross_entropy_of_zero_logits_is_ln_2_per_class():
    total, number = summed_loss(torch.zeros(2, 3), torch.eye(3)[:2], "multilabel")
    assert number == 6
    assert total.item() == pytest.approx(6 * math.log(2))


def test_cross_entropy_of_equal_logits_is_ln_k_per_image():
    total, number = summed_loss(torch.full((2, 4), 0.3), torch.eye(4)[:2], "multiclass")
    assert number == 2
    assert total.item() == pytest.approx(2 * math.log(4))


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_it_is_the_loss_of_pytorch_where_all_is_known(generator, kind):
    logits = torch.randn(5, 3, generator=generator)
    targets = torch.eye(3)[[0, 2, 1, 1, 0]]
    total, number = summed_loss(logits, targets, kind)
    if kind == "multiclass":
        expected = torch.nn.functional.cross_entropy(logits, targets.argmax(1))
    else:
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(total / number, expected)


def test_an_unknown_class_has_no_gradient_and_its_logit_changes_nothing():
    targets = torch.tensor([[1.0, NAN], [NAN, 0.0]])
    logits = torch.tensor([[0.2, 9.0], [-9.0, 0.4]], requires_grad=True)
    total, number = summed_loss(logits, targets, "multilabel")
    total.backward()
    assert number == 2
    assert logits.grad[0, 1] == logits.grad[1, 0] == 0
    assert (logits.grad[0, 0] < 0) and (logits.grad[1, 1] > 0)
    changed = torch.tensor([[0.2, -3.0], [7.0, 0.4]])
    assert summed_loss(changed, targets, "multilabel")[0] == total


def test_an_image_of_unknown_class_has_no_gradient():
    targets = torch.tensor([[NAN, NAN], [0.0, 1.0]])
    logits = torch.randn(2, 2, requires_grad=True)
    total, number = summed_loss(logits, targets, "multiclass")
    total.backward()
    assert number == 1
    assert not logits.grad[0].any()
    assert logits.grad[1].any()


def test_where_nothing_is_known_the_loss_is_zero_and_finite():
    logits = torch.randn(2, 2, requires_grad=True)
    total, number = summed_loss(logits, torch.full((2, 2), NAN), "multilabel")
    total.backward()
    assert (total, number) == (0, 0)
    assert torch.equal(logits.grad, torch.zeros(2, 2))


def test_half_precision_logits_are_compared_in_single_precision():
    # In half precision exp(20) overflows.
    total, _ = summed_loss(torch.tensor([[20.0]]).half(), torch.tensor([[0.0]]), "multilabel")
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(20.0)


def test_probabilities_of_labels_are_independent_and_those_of_classes_sum_to_1():
    logits = torch.tensor([[0.0, math.log(3)]])
    torch.testing.assert_close(probabilities(logits, "multilabel"), torch.tensor([[0.5, 0.75]]))
    torch.testing.assert_close(probabilities(logits, "multiclass"), torch.tensor([[0.25, 0.75]]))
