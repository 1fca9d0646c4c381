"""The state of a representation: what its embeddings can tell apart, without labels."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.methods.pcrlv2.network import PCRLv2Network
from nnunetv2_pcrl.monitoring.log_names import of_level


@torch.no_grad()
def representation_state(
    network: PCRLv2Network,
    first: Mapping[int, Tensor],
    second: Mapping[int, Tensor],
    local: Mapping[int, Tensor],
) -> dict[str, Tensor]:
    """Numbers of every level.

    Args:
        network: heads of all levels.
        first, second: pooled features of v0 and v1 per level, each [B, C], B >= 2.
        local: of all local views per level, [L * B, C], local view by local view.

    Returns:
        Scalars by log name: `cosine_matching` and `cosine_other`, the mean cosine of p and z of
        the two global views of one image and of different images, in [-1, 1]; `retrieval`, the
        share of local views whose p is nearest to z(v0) of their own image, in [0, 1], 1/B by
        chance; `effective_rank` of z(v0), from 1 to min(B - 1, C).
    """
    state = {}
    for level in range(network.num_levels):
        z_first, p_first = network.embed(level, first[level])
        z_second, p_second = network.embed(level, second[level])
        _, p_local = network.embed(level, local[level])
        cosines = (cosine_matrix(p_first, z_second) + cosine_matrix(p_second, z_first).T) / 2
        cosines = cosines.float()
        state[of_level("cosine_matching", level)] = cosines.diagonal().mean()
        state[of_level("cosine_other", level)] = mean_off_diagonal(cosines)
        state[of_level("retrieval", level)] = retrieval(p_local, z_first)
        state[of_level("effective_rank", level)] = effective_rank(z_first).to(cosines.device)
    return state


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
    are the same.

    Source: Roy and Vetterli 2007; used for self-supervised learning by Garrido et al. 2023
    (RankMe), there without centring.
    """
    # On the CPU: small matrices take long on a GPU.
    rows = embeddings.detach().double().cpu()
    singular = torch.linalg.svdvals(rows - rows.mean(dim=0))
    total = singular.sum()
    if not total > 1e-9 * rows.abs().max().clamp_min(1e-12):
        return torch.zeros(())
    parts = singular / total
    return torch.exp(-torch.special.xlogy(parts, parts).sum()).float()
