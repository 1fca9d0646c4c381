"""Comparison of two views by negative cosine similarity."""

import torch
import torch.nn.functional as F
from torch import Tensor


def symmetric_similarity(predictions: Tensor, projections: Tensor) -> Tensor:
    """Negative cosine similarity of two views in both directions, target branch stopped.

    Args:
        predictions: p of both views, shape [2, B, F].
        projections: z of both views, shape [2, B, F]; receives no gradient.

    Returns:
        Scalar in [-1, 1]; -1 where every prediction is parallel to its target.

    Raises:
        ValueError: if the shapes differ or are not [2, B, F].

    Source: Zhou et al. 2023 (PCRLv2), after SimSiam; as in the authors' code.
    """
    if predictions.shape != projections.shape or predictions.ndim != 3 or len(predictions) != 2:
        raise ValueError(
            f"predictions and projections must both be [2, B, F], got "
            f"{tuple(predictions.shape)} and {tuple(projections.shape)}"
        )
    targets = projections.detach().flip(0)
    return -F.cosine_similarity(predictions, targets, dim=2).mean()


def projection_spread(projections: Tensor) -> Tensor:
    """Standard deviation of normalised projections over the batch, times the root of F (z_std).

    About 1 for projections that fill their space, 0 where all images got exactly the same one.
    Projections come out of a batch normalisation, which magnifies the smallest difference between
    images: `feature_spread` tells how much there was to magnify.

    Args:
        projections: z of one population, shape [B, F], B >= 2.

    Returns:
        Scalar >= 0 without gradient.

    Source: Chen and He 2021 (SimSiam) watch this value (there without the factor) for collapse.
    """
    normalised = F.normalize(projections.detach(), dim=1)
    return normalised.std(dim=0, unbiased=False).mean() * torch.tensor(projections.shape[1]).sqrt()


def feature_spread(pooled: Tensor) -> Tensor:
    """How much pooled features differ between images, relative to their size.

    Where it comes near the rounding error, the comparison sees noise: the representation has
    collapsed, whatever the projections behind the batch normalisation look like.

    Args:
        pooled: pooled features of one population, shape [B, C], B >= 2.

    Returns:
        Scalar >= 0 without gradient: mean standard deviation over the batch by mean magnitude.
    """
    pooled = pooled.detach()
    return pooled.std(dim=0, unbiased=False).mean() / pooled.abs().mean().clamp_min(1e-12)
