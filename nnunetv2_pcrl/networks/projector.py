"""One embedding of a view from its pooled features at all levels of a pyramid."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def joined_levels(pooled: Mapping[int, Tensor]) -> Tensor:
    """Pooled features of all levels side by side, low to high resolution.

    Args:
        pooled: by level, each [V, B, C of the level].

    Returns:
        Shape [V, B, sum of C].
    """
    return torch.cat([pooled[level] for level in sorted(pooled)], dim=2)


class Projector(nn.Module):
    """BN, then Linear, BN, ReLU, Linear, BN, ReLU, Linear: embeddings of one population of views.

    The normalisation runs over the rows that are embedded together, whichever crops and images
    they are, and never over the features of a row. It has no weights of its own and keeps no
    running statistics, so validation computes the same function as training.

    Source: Wu et al. 2024 (VoCo), Chen et al. 2020 (SimCLR). Linear layers before a normalisation
    have no bias here, which it would subtract. The first normalisation is ours: pooled features of
    instance normalised stages differ by a few percent of their size between views.
    """

    def __init__(self, num_features: int, hidden_size: int, embedding_size: int):
        super().__init__()
        self.norm = _normalisation(num_features)
        self.layers = nn.Sequential(
            nn.Linear(num_features, hidden_size, bias=False),
            _normalisation(hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, hidden_size, bias=False),
            _normalisation(hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, embedding_size),
        )

    def forward(self, features: Tensor, factors: Tensor | None = None) -> Tensor:
        """Embeddings of pooled features.

        Args:
            features: shape [V, B, C], V * B >= 2.
            factors: of the normalised features, the same shape: 0 for one that is dropped; None
                for none.

        Returns:
            Shape [V, B, F].
        """
        rows = self.norm(features.flatten(0, 1))
        if factors is not None:
            rows = rows * factors.flatten(0, 1)
        embeddings: Tensor = self.layers(rows)
        return torch.unflatten(embeddings, 0, features.shape[:2])


def _normalisation(size: int) -> nn.Module:
    return nn.BatchNorm1d(size, affine=False, track_running_stats=False)
