"""The state of a representation: what its embeddings can tell apart, without labels."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def representation_numbers(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], queries: Tensor
) -> dict[str, Tensor]:
    """How well embeddings tell images apart.

    Args:
        first, second: projections z and predictions p of two views of each image, [B, F], B >= 2.
        queries: predictions of further views [L * B, F]; query i is one of image i % B.

    Returns:
        Scalars: `cosine_matching` and `cosine_other`, the mean cosine of p and z of the two views
        of one image and of different images, in [-1, 1]; `retrieval`, the share of queries that
        are nearest to z of the first view of their own image, in [0, 1], 1/B by chance;
        `effective_rank` of these z, from 1 to min(B - 1, F).
    """
    (z_first, p_first), (z_second, p_second) = first, second
    cosines = (cosine_matrix(p_first, z_second) + cosine_matrix(p_second, z_first).T) / 2
    cosines = cosines.float()
    return {
        "cosine_matching": cosines.diagonal().mean(),
        "cosine_other": mean_off_diagonal(cosines),
        "retrieval": retrieval(queries, z_first),
        "effective_rank": effective_rank(z_first).to(cosines.device),
    }


def cosine_matrix(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of every row of a [N, F] with every row of b [M, F], shape [N, M]."""
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def mean_off_diagonal(square: Tensor) -> Tensor:
    """Mean of a square matrix without its diagonal."""
    count = len(square)
    return (square.sum() - square.diagonal().sum()) / (count * (count - 1))


def retrieval(queries: Tensor, images: Tensor) -> Tensor:
    """Top-1: the share of queries whose most similar image is their own.

    Args:
        queries: embeddings [L * B, F]; query i belongs to image i % B.
        images: embeddings [B, F].
    """
    found = cosine_matrix(queries, images).argmax(dim=1)
    own = torch.arange(len(queries), device=queries.device) % len(images)
    return (found == own).float().mean()


def effective_rank(embeddings: Tensor) -> Tensor:
    """Exponential of the entropy of the normalised singular values, of centred rows.

    The number of directions that the embeddings [N, F] use: from 1 to min(N - 1, F); 0 if all rows
    are the same, NaN if a value is not finite.

    Source: Roy and Vetterli 2007; used for self-supervised learning by Garrido et al. 2023
    (RankMe), there without centring.
    """
    # On the CPU: small matrices take long on a GPU.
    rows = embeddings.detach().double().cpu()
    if not rows.isfinite().all():
        return torch.tensor(math.nan)
    singular = torch.linalg.svdvals(rows - rows.mean(dim=0))
    total = singular.sum()
    if not total > 1e-9 * rows.abs().max().clamp_min(1e-12):
        return torch.zeros(())
    parts = singular / total
    return torch.exp(-torch.special.xlogy(parts, parts).sum()).float()
