"""Which term of a loss drives the training: the gradient norm of each on the shared backbone."""

import copy
import math
from dataclasses import replace

import torch
from torch import nn

from nnunetv2_pcrl.methods.objective import Batch, Objective
from nnunetv2_pcrl.training.gradient_cache import Precision, accumulate_gradients
from nnunetv2_pcrl.training.joint_batch import JointBatch
from nnunetv2_pcrl.training.micro_batch import MicroBatch

# Of each process: it is a look, and shall cost little.
NUM_IMAGES = 8


def first_images(batch: Batch, joint: JointBatch) -> tuple[Batch, JointBatch]:
    """The first images of every process, as many in each, and how they are shared."""
    num_images = min(NUM_IMAGES, *joint.counts)
    few = {name: values[:, :num_images] for name, values in batch.items()}
    return few, replace(joint, num_images=num_images * joint.num_ranks)


def gradient_norms(
    network: nn.Module,
    batch: Batch,
    objective: Objective,
    micro_batch: MicroBatch | None,
    precision: Precision,
    joint: JointBatch,
) -> dict[str, float]:
    """Norm of the gradient of each term, times its weight, over the backbone's parameters.

    Gradients are not kept: they are None before and after.

    Args:
        network: with a module `backbone`.
        batch: views of this process's images; few are enough.
        objective: of a training step.
        micro_batch, precision: as in a step.
        joint: how the images are shared between processes.

    Returns:
        The norms by term; nothing for a loss of one term. NaN where half precision overflows.
    """
    terms = [name for name, weight in objective.weights.items() if weight]
    if len(terms) < 2:
        return {}
    norms = {}
    backbone: nn.Module = network.get_submodule("backbone")
    for term in terms:
        network.zero_grad(set_to_none=True)
        accumulate_gradients(network, batch, _alone(objective, term), micro_batch, precision, joint)
        joint.average_gradients(network)
        squares = [
            parameter.grad.double().square().sum()
            for parameter in backbone.parameters()
            if parameter.grad is not None
        ]
        norm = float(torch.stack(squares).sum().sqrt()) / float(precision.scale) if squares else 0.0
        norms[term] = norm if math.isfinite(norm) else math.nan
    network.zero_grad(set_to_none=True)
    return norms


def _alone(objective: Objective, term: str) -> Objective:
    """The objective with one term in the loss."""
    alone = copy.copy(objective)
    # Objectives are frozen.
    object.__setattr__(alone, "weights", {term: objective.weights[term]})
    return alone
