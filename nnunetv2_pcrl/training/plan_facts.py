"""What a method may know of nnU-Net's plans."""

import numpy as np
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunetv2_pcrl.methods.plan_facts import PlanFacts
from nnunetv2_pcrl.networks.arithmetic import Parts, parts_of
from nnunetv2_pcrl.networks.pyramid import SUPPORTED


def plan_facts(
    plans: PlansManager, configuration: ConfigurationManager, num_channels: int
) -> PlanFacts:
    """The facts of a configuration of plans.

    Raises:
        ValueError: if its network is no U-Net of the known kind.
    """
    strides = configuration.network_arch_init_kwargs.get("strides")
    if strides is None:
        raise ValueError(
            f"{configuration.network_arch_class_name} cannot be pretrained: its plan has no "
            f"strides. Supported are {SUPPORTED}. Plan with one of nnU-Net's U-Net planners "
            f"(e.g. -pl ExperimentPlanner or -pl nnUNetPlannerResEncM)."
        )
    return PlanFacts(
        patch_size=tuple(int(size) for size in configuration.patch_size),
        batch_size=int(configuration.batch_size),
        spacing=tuple(float(mm) for mm in configuration.spacing),
        strides=tuple(_per_axis(stride, len(configuration.patch_size)) for stride in strides),
        num_channels=num_channels,
        normalization=tuple(configuration.normalization_schemes),
        reader=plans.plans["image_reader_writer"],
        parts=_parts_of(configuration, num_channels),
    )


def _parts_of(configuration: ConfigurationManager, num_channels: int) -> Parts:
    with torch.device("meta"):
        planned = get_network_from_plans(
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
            num_channels,
            # The segmentation's own convolutions are hardly any work.
            output_channels=1,
            allow_init=False,
        )
    return parts_of(planned)


def _per_axis(stride, num_axes: int) -> tuple[int, ...]:
    return tuple(int(s) for s in np.broadcast_to(stride, num_axes))
