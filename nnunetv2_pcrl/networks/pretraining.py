"""The base of networks to pretrain: a backbone with heads, whose parts a step calls one by one."""

from torch import Tensor, nn


class PretrainingNetwork(nn.Module):
    """Backbone and heads of a method.

    Attributes:
        backbone: a `Pyramid`.
    """

    backbone: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Not a segmentation network: says so instead of predicting nonsense."""
        raise RuntimeError(
            "This is a pretraining network and cannot segment. Fine-tune its weights with the "
            "method's trainer, e.g. -tr PCRLv2FinetuneTrainer, and predict with that trainer."
        )
