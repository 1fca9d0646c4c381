"""The network that weights are exported for: its plans, its channels, and how it is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunetv2_pcrl.datasets.raw import read_json
from nnunetv2_pcrl.weights.adaptation_plan import build_adaptation_plan
from nnunetv2_pcrl.weights.channels import InputChannels, channel_names_of
from nnunetv2_pcrl.weights.foreign_plans import MAX_PARAMETERS, check_architecture
from nnunetv2_pcrl.weights.fresh import fixed_seed
from nnunetv2_pcrl.weights.sources import PretrainedSource

# Plans and dataset.json.
Planned = tuple[dict[str, Any], Mapping[str, Any] | None]
# Segmentation layers are not written; the network needs some to be built.
NUM_CLASSES = 2


@dataclass(frozen=True)
class Target:
    """A configuration of nnU-Net's plans that weights are to fit.

    Attributes:
        manager: of the plans.
        name: of the configuration.
        configuration: inheritance resolved.
        dataset_json: of the target; None if there is none.
        is_foreign: whether the plans came out of the weights file.
    """

    manager: PlansManager
    name: str
    configuration: ConfigurationManager
    dataset_json: Mapping[str, Any] | None
    is_foreign: bool

    def channels(self, source: PretrainedSource) -> tuple[int, InputChannels]:
        """Number of input channels of the network, and what is known of them.

        Raises:
            ValueError: if dataset.json is missing where it is needed, or is of another data set.
        """
        num_image_channels = len(self.configuration.normalization_schemes)
        dataset = self.manager.dataset_name
        if self.dataset_json is None:
            if self.configuration.previous_stage_name is not None:
                raise ValueError(
                    f"a cascade has one more input channel per label of {dataset}, and there is "
                    f"no dataset.json beside the plans that says which; put it there"
                )
            has_as_many = source.num_input_channels == num_image_channels
            names = source.channel_names if has_as_many else None
            return num_image_channels, InputChannels(source.channel_names, names)
        names = channel_names_of(self.dataset_json) or ()
        if len(names) != num_image_channels:
            raise ValueError(
                f"dataset.json names {len(names)} channels, {', '.join(names)}, and the plans "
                f"normalise {num_image_channels}: they are not of one data set; put the "
                f"dataset.json of {dataset} beside the plans"
            )
        num_channels = determine_num_input_channels(
            self.manager, self.configuration, self.dataset_json
        )
        return num_channels, InputChannels(
            source.channel_names, names, num_channels - num_image_channels
        )

    def network(self, num_channels: int) -> nn.Module:
        """The planned network, initialised as nnU-Net does, equally every time.

        Raises:
            ValueError: if plans out of a weights file describe one that nnU-Net would not plan.
        """
        if self.is_foreign:
            with torch.device("meta"):
                num_parameters = sum(p.numel() for p in self._built(num_channels).parameters())
            if num_parameters > MAX_PARAMETERS:
                raise ValueError(
                    f"the plans in the file describe a network of {num_parameters} parameters, "
                    f"which nnU-Net would not plan; name those of the target with --plans"
                )
        with fixed_seed():
            return self._built(num_channels)

    def _built(self, num_channels: int) -> nn.Module:
        return nnUNetTrainer.build_network_architecture(
            self.manager,
            self.configuration,
            num_channels,
            NUM_CLASSES,
            enable_deep_supervision=True,
        )

    def adaptation_plan(self, network: nn.Module, num_channels: int) -> dict[str, Any] | None:
        """What nnU-Net's pretrained-weights commands read; None for a network that has no names."""
        if not hasattr(network, "key_to_encoder"):
            return None
        named: Any = network
        return build_adaptation_plan(
            self.manager.plans,
            self.configuration.configuration,
            self.name,
            num_channels,
            named.key_to_encoder,
            named.key_to_stem,
            named.keys_to_in_proj,
        )


def target_of(
    source: PretrainedSource, planned: Planned | None, configuration_name: str | None
) -> Target:
    """The target of an export.

    Args:
        source: the pretrained file.
        planned: plans of the target; None takes those in the file.
        configuration_name: of the target; None takes that of the pretraining.

    Raises:
        ValueError: if there are no such plans or no such configuration, or if plans out of the file
            name what is not known here.
    """
    is_foreign = planned is None
    if planned is None:
        if source.plans is None:
            raise ValueError(
                "the file holds no nnU-Net plans; name those of the target with --plans"
            )
        planned = dict(source.plans), source.dataset_json
    plans, dataset_json = planned
    name = configuration_name or source.configuration
    known = list(plans.get("configurations") or ())
    if name is None or name not in known:
        raise ValueError(
            f"the plans have no configuration {name}; choose one of {', '.join(known)} with -c"
        )
    manager = PlansManager(plans)
    configuration = manager.get_configuration(name)
    if is_foreign:
        check_architecture(configuration.configuration.get("architecture"))
    return Target(manager, name, configuration, dataset_json, is_foreign)


def read_plans(path: Path) -> Planned:
    """Plans, and the dataset.json beside them; None if there is none.

    Raises:
        ValueError: naming the file, if it is missing or no plans file.
    """
    if not path.is_file():
        raise ValueError(f"there is no plans file {path}")
    plans = read_json(path)
    if "configurations" not in plans:
        raise ValueError(
            f'{path} is no plans file of nnU-Net, as it has no "configurations"; name that '
            f"of the target, e.g. nnUNet_preprocessed/DATASET/nnUNetPlans.json"
        )
    dataset_file = path.with_name("dataset.json")
    return plans, read_json(dataset_file) if dataset_file.is_file() else None
