"""The probe: a linear voxel classifier on frozen features, in closed form.

It only measures. Labels are read here and nowhere else, and nothing of it reaches the training.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nnunetv2_pcrl.monitoring.probe_crops import LabelledCrop

# A network that gives feature maps of any resolutions: every level of a U-Net's decoder, or every
# stage of an encoder.
Backbone = Callable[[Tensor], Sequence[Tensor]]
# Ridge penalty per voxel, for standardised features: voxels of a case resemble one another, so the
# features of a few cases are easily learned by heart.
PENALTY = 0.1


@dataclass(frozen=True)
class ProbeScore:
    """How well a linear classifier tells the classes of voxels apart.

    Attributes:
        per_class: 2 TP / (2 TP + FP + FN) of each foreground class on sampled voxels, in [0, 1];
            NaN for a class that was not sampled. As many voxels of each class are sampled, so it is
            no Dice of a segmentation.
    """

    per_class: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the foreground classes that were sampled; NaN if none was."""
        sampled = [score for score in self.per_class if math.isfinite(score)]
        return sum(sampled) / len(sampled) if sampled else math.nan


def probe(
    backbone: Backbone,
    fitting: Sequence[LabelledCrop],
    scoring: Sequence[LabelledCrop],
    num_classes: int,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager],
) -> ProbeScore:
    """Fits the classifier to some crops and scores it on others.

    Args:
        backbone: in evaluation mode; it is not changed.
        fitting, scoring: crops of different cases.
        num_classes: background included.
        device: of the backbone.
        autocast: context of forward passes.
    """

    def features_and_labels(crops: Sequence[LabelledCrop]) -> tuple[Tensor, Tensor]:
        features = [voxel_features(backbone, crop, device, autocast) for crop in crops]
        return torch.cat(features), torch.cat([crop.labels for crop in crops])

    features, labels = features_and_labels(fitting)
    classify = fit_ridge(features, labels, num_classes)
    features, labels = features_and_labels(scoring)
    return ProbeScore(dice_like(classify(features), labels, num_classes))


@torch.no_grad()
def voxel_features(
    backbone: Backbone,
    crop: LabelledCrop,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager],
) -> Tensor:
    """Features of all levels at the voxels of a crop, linearly interpolated, [N, sum of C].

    On the CPU in double precision.
    """
    with autocast():
        pyramid = backbone(crop.image[None].to(device))
    size = torch.tensor(crop.image.shape[1:])
    # Voxel centres in [-1, 1], in grid_sample's order of axes.
    places = ((2 * crop.voxels + 1) / size - 1).flip(1).to(device, torch.float32)
    grid = places.view(1, -1, *[1] * (len(size) - 1), len(size))
    sampled = [
        F.grid_sample(level.float(), grid, padding_mode="border", align_corners=False)
        for level in pyramid
    ]
    return torch.cat([s.flatten(1).view(s.shape[1], -1) for s in sampled]).T.double().cpu()


def fit_ridge(features: Tensor, labels: Tensor, num_classes: int) -> Callable[[Tensor], Tensor]:
    """Least squares of one-hot labels on standardised features with a ridge penalty.

    Args:
        features: [N, F] in double precision.
        labels: [N], 0 .. num_classes - 1.
        num_classes: number of outputs.

    Returns:
        A function from features [M, F] to classes [M].
    """
    mean, scale = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    x = (features - mean) / scale
    y = F.one_hot(labels, num_classes).to(x.dtype)
    offset = y.mean(dim=0)
    gram = x.T @ x
    gram.diagonal().add_(PENALTY * len(x))
    weights = torch.linalg.solve(gram, x.T @ (y - offset))
    return lambda new: (((new - mean) / scale) @ weights + offset).argmax(dim=1)


def dice_like(predicted: Tensor, labels: Tensor, num_classes: int) -> tuple[float, ...]:
    """2 TP / (2 TP + FP + FN) of every foreground class; NaN if it is not among the labels."""
    scores = []
    for index in range(1, num_classes):
        is_found, is_so = predicted == index, labels == index
        total = int(is_found.sum() + is_so.sum())
        scores.append(2 * int((is_found & is_so).sum()) / total if is_so.any() else math.nan)
    return tuple(scores)
