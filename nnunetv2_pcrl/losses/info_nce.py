"""Contrast of two views of every image against the views of all others, or against a queue."""

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


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Each query is to find its own key among those of the batch and of a queue.

    For every query q_i with its key k_i it is
    -log(exp(q_i k_i / t) / sum of exp(q_i n / t) over all k_j and all n of the queue),
    averaged over the queries. Computed in single precision at least.

    Args:
        queries: of length 1, [N, F].
        keys: of length 1, of the same images, [N, F]; receive no gradient.
        queue: earlier keys, of length 1, [K, F], K >= 0; receive no gradient.
        temperature: t, above 0.

    Returns:
        Scalar >= 0; ln(K + N) where all keys look alike.

    Raises:
        ValueError: if shapes do not fit together, or t is not above 0.

    Source: He et al. 2020 (MoCo), there without the keys of other images of the batch. These are
    of the same teacher and the same normalisation as an image's own key; keys of earlier steps
    can be told from it by their age alone.
    """
    if queries.shape != keys.shape or queries.ndim != 2 or queue.shape[1:] != keys.shape[1:]:
        raise ValueError(
            f"queries and keys must be [N, F] and the queue [K, F], got {tuple(queries.shape)}, "
            f"{tuple(keys.shape)} and {tuple(queue.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"the temperature of a contrast must be above 0, got {temperature}")
    # Autocast would take the product of matrices to half precision.
    with torch.autocast(queries.device.type, enabled=False):
        queries, candidates = (
            rows.to(torch.promote_types(rows.dtype, torch.float32))
            for rows in (queries, torch.cat([keys.detach(), queue.detach().to(keys.dtype)]))
        )
        logits = queries @ candidates.to(queries.dtype).T / temperature
        own = torch.arange(len(queries), device=queries.device)
        return F.cross_entropy(logits, own)
