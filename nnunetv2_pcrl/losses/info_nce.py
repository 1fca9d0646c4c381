"""Contrast of two views of every image against the views of all others."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross entropy: each view is to find the other one of its image.

    For every one of the 2N views i with its counterpart j it is
    -log(exp(cos(i, j) / t) / sum over k != i of exp(cos(i, k) / t)), averaged over the views.

    Args:
        first, second: embeddings of two views of each image, [N, F], N >= 2.
        temperature: t, above 0.

    Returns:
        Scalar >= 0; ln(2N - 1) where all embeddings are the same.

    Raises:
        ValueError: if the shapes differ, there are fewer than two images, or t is not above 0.

    Source: Chen et al. 2020 (SimCLR).
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ValueError(
            f"a contrast needs two views [N, F] of at least two images, got {tuple(first.shape)} "
            f"and {tuple(second.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"the temperature of a contrast must be above 0, got {temperature}")
    count = len(first)
    rows = F.normalize(torch.cat([first, second]), dim=1)
    itself = torch.eye(2 * count, dtype=torch.bool, device=rows.device)
    logits = (rows @ rows.T / temperature).masked_fill(itself, -torch.inf)
    counterparts = torch.arange(2 * count, device=rows.device).roll(count)
    return F.cross_entropy(logits, counterparts)
