"""What follows the gradients of a step: the update, and at the end of an epoch its means."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nnunetv2_pcrl.training.joint_batch import JointBatch

# As in nnU-Net.
MAX_GRADIENT_NORM = 12


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler | None,
    joint_batch: JointBatch,
) -> Tensor:
    """One step of the optimiser with the gradients of all processes, clipped.

    Returns:
        The norm of the gradient before it was clipped. Where it is not finite, because half
        precision overflowed or a finite loss has no finite gradient, the step is skipped.
    """
    joint_batch.average_gradients(network)
    if scaler is not None:
        scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
    if scaler is None:
        # Clipping would make NaN of everything.
        if torch.isfinite(norm):
            optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
    return norm


def means(outputs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of every number over the steps in which it is finite; NaN if it is in none."""
    names = sorted({name for output in outputs for name in output})
    finite = {
        name: [o[name] for o in outputs if math.isfinite(o.get(name, math.nan))] for name in names
    }
    return {name: float(np.mean(v)) if v else math.nan for name, v in finite.items()}
