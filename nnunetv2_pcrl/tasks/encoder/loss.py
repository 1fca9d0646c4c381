"""Loss of logits against classes of which some are unknown."""

import torch
from torch import Tensor
from torch.nn import functional

from nnunetv2_pcrl.datasets.classes import MULTICLASS


def summed_loss(logits: Tensor, targets: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Sum of the losses of what is known, and how many these are.

    Binary cross-entropy of every class, or cross-entropy of every image. What is unknown has no
    gradient. Sums rather than means, so that processes which share a batch can add them.

    Args:
        logits: shape [B, K].
        targets: 0, 1 or NaN (unknown), shape [B, K].
        kind: "multilabel" or "multiclass".

    Returns:
        Two scalars, float32: sum and number.
    """
    logits = logits.float()
    known = ~torch.isnan(targets)
    targets = torch.where(known, targets, 0).to(logits)
    if kind == MULTICLASS:
        losses, known = -(targets * functional.log_softmax(logits, 1)).sum(1), known.all(1)
    else:
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return torch.where(known, losses, 0).sum(), known.sum().float()


def probabilities(logits: Tensor, kind: str) -> Tensor:
    """Probability of every class, shape [B, K], float32.

    Args:
        logits: shape [B, K].
        kind: "multilabel" or "multiclass".
    """
    logits = logits.float()
    return logits.softmax(1) if kind == MULTICLASS else logits.sigmoid()
