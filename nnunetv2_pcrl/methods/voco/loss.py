"""The terms of VoCo: similarities of crops against their overlaps.

Shapes: B images, Q queries, N base crops, F features. All of it in single precision or better:
the derivative of the logarithms reaches 1e6, beyond what half precision holds.

Source: Wu et al. 2024 (VoCo, CVPR) and Wu et al. 2025 (TPAMI), and their code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.methods.voco.settings import Form

# Keeps the logarithm of a wholly wrong similarity finite: it costs 13.8.
EPSILON = 1e-6
# Constant similarities among which the best one is looked for.
CONSTANTS = tuple(number / 50 for number in range(50))


def cosines(queries: Tensor, bases: Tensor) -> Tensor:
    """Cosine of every query [B, Q, F] with every base crop [B, N, F] of the image, [B, Q, N]."""
    return F.normalize(queries, dim=2) @ F.normalize(bases, dim=2).mT


def similarities(queries: Tensor, bases: Tensor) -> Tensor:
    """The cosines without what is negative: c(u, v) = max(0, cos(u, v)), in [0, 1]."""
    return cosines(queries, bases).clamp(0, 1)


def cost(distance: Tensor) -> Tensor:
    """-log(1 - d) of distances in [0, 1]: 0 where d is 0, and 13.8 where it is 1.

    The authors' -log(1 - d + 1e-6) is slightly below 0 where d is 0.
    """
    return -torch.log((1 - distance + EPSILON) / (1 + EPSILON))


def positive(similarity: Tensor, overlap: Tensor) -> Tensor:
    """Sum of l cost(|l - s|) over sum of l, a mean over images of each one's own.

    Args:
        similarity: s, shape [B, Q, N], in [0, 1].
        overlap: l, the same.
    """
    costs = (overlap * cost((overlap - similarity).abs())).sum(dim=(1, 2))
    return (costs / overlap.sum(dim=(1, 2)).clamp_min(EPSILON)).mean()


def negative(similarity: Tensor, overlap: Tensor, form: Form) -> Tensor:
    """What similarities cost where there is no overlap, a mean over images of each one's own.

    Args:
        similarity, overlap: see `positive`.
        form: "tpami": cost(s); "cvpr": s squared.
    """
    costs = cost(similarity) if form == "tpami" else similarity.square()
    apart = overlap == 0
    return ((costs * apart).sum(dim=(1, 2)) / apart.sum(dim=(1, 2)).clamp_min(1)).mean()


def regulariser(bases: Tensor) -> Tensor:
    """Mean of c(b_i, b_j)^2 over all pairs of an image's base crops, [B, N, F], N >= 2.

    Every base crop gets gradient from all of its pairs; in the authors' code, whose second crop
    of a pair is stopped, the last one gets none.
    """
    first, second = torch.triu_indices(bases.shape[1], bases.shape[1], offset=1)
    return similarities(bases, bases)[:, first, second].square().mean()


def of_next_image(bases: Tensor) -> Tensor:
    """The base crops of the next image of the batch, for every image; the last one has the first's.

    Raises:
        ValueError: if there is no other image.
    """
    if len(bases) < 2:
        raise ValueError(
            'the inter term of VoCo needs two images: enlarge "batch_size", or set "inter_weight" '
            "to 0"
        )
    return bases.roll(-1, dims=0)


def constant_similarity(overlap: Tensor, form: Form) -> tuple[Tensor, Tensor]:
    """Positive and negative term of the one similarity that costs least if all crops have it.

    A network that cannot tell crops apart comes to it: its loss stays there.
    """
    costs = []
    for constant in CONSTANTS:
        same = torch.full_like(overlap, constant)
        costs.append(torch.stack([positive(same, overlap), negative(same, overlap, form)]))
    lowest = min(costs, key=lambda both: float(both.sum()))
    return lowest[0], lowest[1]
