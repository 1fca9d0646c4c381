"""The planned encoder with a linear layer on its pooled features, and how that layer starts."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nnunetv2_pcrl.datasets.classes import MULTICLASS


class Classifier(nn.Module):
    """Encoder, mean over space, standardisation, dropout, linear layer.

    The linear layer starts at zero, so that its bias alone speaks first (see `prior_logits`).
    """

    def __init__(self, planned: nn.Module, num_classes: int, stages: str, dropout: float):
        """Keeps the encoder of a planned network.

        Args:
            planned: a U-Net as nnU-Net builds it.
            num_classes: outputs.
            stages: "last" or "all" stages of the encoder are pooled.
            dropout: chance of a pooled feature to be dropped.

        Raises:
            ValueError: if the network has no encoder.
        """
        super().__init__()
        encoder: Any = getattr(planned, "encoder", None)
        if not hasattr(encoder, "output_channels"):
            raise ValueError(
                f"{type(planned).__name__} has no encoder to classify with; plan with one of "
                f"nnU-Net's U-Net planners (e.g. -pl ExperimentPlanner or -pl "
                f"nnUNetPlannerResEncM)."
            )
        self.encoder: nn.Module = encoder
        self.takes_all_stages = stages == "all"
        channels: list[int] = list(encoder.output_channels)
        num_features = sum(channels) if self.takes_all_stages else channels[-1]
        self.standardise = Standardisation(num_features)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(num_features, num_classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def pooled(self, images: Tensor) -> Tensor:
        """Mean over space of the encoder's stages, shape [B, F], float32.

        Args:
            images: shape [B, C, (D,) H, W].
        """
        stages = self.encoder(images)
        stages = stages if self.takes_all_stages else stages[-1:]
        # A sum over many voxels leaves the range of half precision.
        return torch.cat([stage.flatten(2).mean(2, dtype=torch.float32) for stage in stages], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape [B, K], float32.

        Args:
            images: shape [B, C, (D,) H, W].
        """
        features = self.pooled(images)
        with torch.autocast(features.device.type, enabled=False):
            return self.linear(self.dropout(self.standardise(features)))


class Standardisation(nn.Module):
    """Features minus a mean, divided by a spread; both are measured once and then fixed.

    After instance normalisation, pooled features differ little from image to image: a linear layer
    on them as they are ranks images as well, but takes many more steps to say so in probabilities.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, num_features: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("spread", torch.ones(num_features))

    @torch.no_grad()
    def measure(self, features: Iterable[Tensor]) -> None:
        """Takes mean and spread of these features.

        Args:
            features: of batches, each of shape [B, F].
        """
        values = torch.cat([batch.to(self.mean) for batch in features])
        spread = values.std(0, unbiased=False)
        # A feature that is the same everywhere says nothing, and must not become noise.
        says_nothing = spread <= 1e-3 * spread.max()
        self.mean.copy_(values.mean(0))
        self.spread.copy_(torch.where(says_nothing, 1, spread))

    def forward(self, features: Tensor) -> Tensor:
        """Standardised features, shape [B, F]."""
        return (features - self.mean) / self.spread


def prior_logits(targets: np.ndarray, kind: str) -> np.ndarray:
    """Logits that say the prevalence of every class.

    With them the mean loss is the entropy of the prevalences. A class that all or none of the
    known cases are of counts as if half a case were otherwise.

    Args:
        targets: 0, 1 or NaN (unknown), shape [N, K].
        kind: "multilabel" or "multiclass".

    Returns:
        Shape [K]: log odds of the prevalence, or for "multiclass" its logarithm; 0 for a class of
        which nothing is known.
    """
    num_known = (~np.isnan(targets)).sum(axis=0)
    shares = np.nansum(targets, axis=0) / np.maximum(num_known, 1)
    least = 0.5 / np.maximum(num_known, 1)
    shares = np.where(num_known > 0, np.clip(shares, least, 1 - least), 0.5)
    return np.log(shares) if kind == MULTICLASS else np.log(shares / (1 - shares))
