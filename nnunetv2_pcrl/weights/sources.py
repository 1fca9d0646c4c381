"""Pretrained files of every kind, as weights under stock names and what is known about them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from nnunetv2_pcrl.weights.channels import channel_names_of, ordered_names
from nnunetv2_pcrl.weights.places import places_of
from nnunetv2_pcrl.weights.reading import read_weights

PORTABLE = "weights of nnunetv2_pcrl"
PRETRAINING = "pretraining checkpoint of nnunetv2_pcrl"
NNUNET = "nnU-Net checkpoint"
NNSSL = "nnssl checkpoint"
UNKNOWN = "weights without a description"

# nnssl's collections were pretrained on z-scored images.
NNSSL_NORMALIZATION = ("ZScoreNormalization",)
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")


@dataclass(frozen=True)
class PretrainedSource:
    """What a pretrained file holds.

    Attributes:
        kind: PORTABLE, PRETRAINING, NNUNET, NNSSL or UNKNOWN.
        weights: tensors under the stock names of a planned U-Net.
        method: how it was pretrained, as far as the file says.
        architecture: class name of the network, without its module.
        dataset_name: of the images of the pretraining.
        plans_dataset, plans_name, configuration: the plans of the network, in nnU-Net's terms. An
            exported file has the plans of its target.
        planned_for: `dataset_name` and `plans_name` of the target that the network was planned for;
            empty where the file does not say.
        spacing: voxel size of its images in mm, per axis of the plan.
        patch_size: in voxels, per axis of the plan.
        channel_names: of its input channels.
        normalization: nnU-Net's scheme per input channel, or one for all.
        epochs_done, num_epochs: how far the pretraining came.
        citations: as nnssl writes them.
    """

    kind: str
    weights: Mapping[str, Tensor]
    method: str | None = None
    architecture: str | None = None
    dataset_name: str | None = None
    plans_dataset: str | None = None
    plans_name: str | None = None
    configuration: str | None = None
    planned_for: Mapping[str, str] = field(default_factory=dict)
    spacing: tuple[float, ...] | None = None
    patch_size: tuple[int, ...] | None = None
    channel_names: tuple[str, ...] | None = None
    normalization: tuple[str, ...] | None = None
    epochs_done: int | None = None
    num_epochs: int | None = None
    citations: tuple[Mapping[str, Any], ...] = ()

    @property
    def num_input_channels(self) -> int | None:
        """Channels that the first convolution reads; None if there is no encoder."""
        for name, place in places_of(self.weights).items():
            if place.is_first_convolution and place.tensor == "weight":
                return self.weights[name].shape[1]
        return None


def read_source(path: str | os.PathLike) -> PretrainedSource:
    """Reads any pretrained file that fits nnU-Net's U-Nets, without running anything in it.

    Raises:
        ValueError: if the file cannot be read safely, or if it is of another kind of network.
    """
    return source_from(read_weights(path))


def source_from(content: Mapping[str, Any]) -> PretrainedSource:
    """What the content of a file is, told by its entries.

    Raises:
        ValueError: if its network is no U-Net of the known shape.
    """
    weights = {_WRAPPERS.sub("", name): v for name, v in content["network_weights"].items()}
    if "nnunet_plans" in content:
        source = _portable(content, weights)
    elif any(name.startswith("backbone.transpconvs.") for name in weights):
        source = _checkpoint(PRETRAINING, content, _names_of_pretraining(weights))
    elif "nnssl_adaptation_plan" in content:
        source = _nnssl(content, weights)
    elif isinstance(content.get("init_args"), Mapping):
        source = _checkpoint(NNUNET, content, weights)
    else:
        source = PretrainedSource(UNKNOWN, _without_prefix(weights))
    if source.num_input_channels is None:
        raise ValueError(
            f"the weights are not those of a U-Net as nnU-Net plans it ({NNUNET}, nnssl's ResEncL, "
            f"PlainConvUNet, ResidualEncoderUNet): no convolution is named encoder...; the first "
            f"names are {', '.join(list(weights)[:3])}"
        )
    return source


def resolved_configuration(plans: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """A configuration of nnU-Net's plans with what it inherits; empty if there is none."""
    configuration = dict(plans.get("configurations", {}).get(name, {}))
    parent = configuration.get("inherits_from")
    return {**resolved_configuration(plans, parent), **configuration} if parent else configuration


def embedded_plans(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The nnU-Net plans in a file; None if it has none."""
    return content.get("nnunet_plans") or (content.get("init_args") or {}).get("plans")


def _portable(content: Mapping[str, Any], weights: dict[str, Tensor]) -> PretrainedSource:
    facts = _plan_facts(content["nnunet_plans"], content.get("configuration"))
    # A file that was exported for another plan says what it was pretrained on.
    for name, value in content.get("pretrained_on", {}).items():
        facts[name] = tuple(value) if isinstance(value, list) else value
    return PretrainedSource(
        PORTABLE,
        weights,
        method=content.get("method"),
        planned_for=content.get("planned_for", {}),
        channel_names=ordered_names(content.get("channel_names")),
        epochs_done=content.get("epochs_done"),
        num_epochs=content.get("num_epochs"),
        citations=tuple(content.get("citations") or ()),
        **facts,
    )


def _checkpoint(
    kind: str, content: Mapping[str, Any], weights: dict[str, Tensor]
) -> PretrainedSource:
    arguments = content.get("init_args") or {}
    trainer = content.get("trainer_name")
    return PretrainedSource(
        kind,
        weights,
        method="PCRLv2" if kind == PRETRAINING else f"supervised ({trainer})",
        channel_names=channel_names_of(arguments.get("dataset_json", {})),
        epochs_done=content.get("current_epoch"),
        num_epochs=content.get("settings", {}).get("num_epochs"),
        **_plan_facts(arguments.get("plans", {}), arguments.get("configuration")),
    )


def _plan_facts(plans: Mapping[str, Any], configuration_name: str | None) -> dict[str, Any]:
    configuration = resolved_configuration(plans, configuration_name)
    class_name = configuration.get("architecture", {}).get("network_class_name")
    return {
        "architecture": class_name and class_name.rsplit(".", 1)[-1],
        "dataset_name": plans.get("dataset_name"),
        "plans_dataset": plans.get("dataset_name"),
        "plans_name": plans.get("plans_name"),
        "configuration": configuration_name,
        "spacing": _tuple(configuration.get("spacing")),
        "patch_size": _tuple(configuration.get("patch_size")),
        "normalization": _tuple(configuration.get("normalization_schemes")),
    }


def _nnssl(content: Mapping[str, Any], weights: dict[str, Tensor]) -> PretrainedSource:
    plan = content["nnssl_adaptation_plan"]
    architecture = (plan.get("architecture_plans") or {}).get("arch_class_name")
    encoder_key = plan.get("key_to_encoder") or "encoder.stages"
    if not encoder_key.endswith("encoder.stages"):
        raise ValueError(
            f"the file is an nnssl checkpoint of {architecture} (encoder under {encoder_key!r}); "
            f"only convolutional U-Nets (ResEncL, ResidualEncoderUNet, PlainConvUNet) fit the "
            f"networks that nnU-Net plans. Use its ResEncL variant"
        )
    prefix = encoder_key.removesuffix("encoder.stages")
    pretrain_plan = plan.get("pretrain_plan") or {}
    configurations = pretrain_plan.get("configurations") or {}
    name, configuration = next(iter(configurations.items()), (None, {}))
    citations = tuple(content.get("citations") or ())
    return PretrainedSource(
        NNSSL,
        {n.removeprefix(prefix): value for n, value in weights.items()},
        method=_method(citations) or content.get("trainer_name"),
        architecture=architecture,
        dataset_name=pretrain_plan.get("dataset_name"),
        plans_name=pretrain_plan.get("plans_name"),
        configuration=name,
        spacing=_tuple(configuration.get("spacing")),
        patch_size=_tuple(configuration.get("patch_size")),
        normalization=_tuple(configuration.get("normalization_schemes")) or NNSSL_NORMALIZATION,
        epochs_done=content.get("current_epoch"),
        citations=citations,
    )


def _method(citations: tuple[Mapping[str, Any], ...]) -> str | None:
    for citation in citations:
        if "method" in str(citation.get("type", "")).lower():
            return citation.get("name")
    return None


def _names_of_pretraining(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stock names for the backbone of a pretraining network; its heads are dropped."""
    stock = {"encoder.": "encoder.", "transpconvs.": "decoder.transpconvs."}
    stock["stages."] = "decoder.stages."
    renamed = {}
    for name, value in weights.items():
        inner = name.removeprefix("backbone.")
        for part, stock_part in stock.items():
            if inner != name and inner.startswith(part):
                renamed[stock_part + inner.removeprefix(part)] = value
    return renamed


def _without_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the wrapper that holds the U-Net, e.g. "model.encoder.stages..."."""
    matches = [re.match(r"(.*?)encoder\.(stem|stages)\.", name) for name in weights]
    # The decoder holds the encoder once more, under a longer name.
    prefix = min((match[1] for match in matches if match), key=len, default="")
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def _tuple(values: Any) -> tuple | None:
    return None if values is None else tuple(values)
