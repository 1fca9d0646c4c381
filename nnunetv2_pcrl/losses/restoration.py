"""Restoration error of an image from one level of the pyramid, in units of the data set."""

import torch.nn.functional as F
from torch import Tensor


def in_units(image: Tensor, stds: Tensor) -> Tensor:
    """An image in standard deviations of its channels.

    Args:
        image: shape [B, C, (D,) H, W].
        stds: of the data set, not of this image: a constant image stays harmless. Shape [C].
    """
    return image / stds.to(image.dtype).view(-1, *[1] * (image.ndim - 2))


def restoration_error(restoration: Tensor, target: Tensor) -> Tensor:
    """Mean squared error after linear resizing of the restoration to the target.

    Args:
        restoration: restored image of any resolution, shape [B, C, (d,) h, w].
        target: restoration target, shape [B, C, (D,) H, W]. Where both are in units of the data
            set (`in_units`), restoring each image's mean gives about 1.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: if batch, channels or number of axes differ.

    Source: Zhou et al. 2023 (PCRLv2). Resized to the target's own size, so that anisotropic strides
    are right; the authors upsample by powers of two.
    """
    if restoration.shape[:2] != target.shape[:2] or restoration.ndim != target.ndim:
        raise ValueError(
            f"cannot compare a restoration {tuple(restoration.shape)} with a target "
            f"{tuple(target.shape)}: batch, channels and number of axes must agree"
        )
    if restoration.shape != target.shape:
        mode = "trilinear" if target.ndim == 5 else "bilinear"
        restoration = F.interpolate(
            restoration, size=target.shape[2:], mode=mode, align_corners=False
        )
    return F.mse_loss(restoration, target)
