"""Pretrained files of every kind, as weights under stock names and what is known about them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from nnunetv2_pcrl.weights.channels import ordered_names
from nnunetv2_pcrl.weights.duplicates import as_trained
from nnunetv2_pcrl.weights.entries import (
    AdaptationPlan,
    CheckpointEntries,
    Citation,
    NnsslEntries,
    Plans,
    PortableEntries,
    read_entries,
)
from nnunetv2_pcrl.weights.places import places_of
from nnunetv2_pcrl.weights.portable import DECODERS, NO_DECODER, SKIPS
from nnunetv2_pcrl.weights.reading import check_tensors, read_weights
from nnunetv2_pcrl.weights.stock_names import names_of_pretraining, unwrapped, without_prefix

PORTABLE = "weights of nnunetv2_pcrl"
PRETRAINING = "pretraining checkpoint of nnunetv2_pcrl"
NNUNET = "nnU-Net checkpoint"
NNSSL = "nnssl checkpoint"
UNKNOWN = "weights without a description"

# nnssl's collections were pretrained on z-scored images.
NNSSL_NORMALIZATION = ("ZScoreNormalization",)


@dataclass(frozen=True)
class PretrainedSource:
    """What a pretrained file holds.

    Attributes:
        kind: PORTABLE, PRETRAINING, NNUNET, NNSSL or UNKNOWN.
        weights: tensors under the stock names of a planned U-Net.
        method: how it was pretrained, as far as the file says.
        variants: changed settings of the method, by name.
        decoder: one of `DECODERS`; None where the file does not say.
        untrained: names under which the file holds what its network was initialised with; the
            trained tensors are taken in their place.
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
        plans, dataset_json: nnU-Net's, as the file holds them: of others, and not checked; see
            `check_architecture`.
    """

    kind: str
    weights: Mapping[str, Tensor]
    method: str | None = None
    variants: tuple[str, ...] = ()
    decoder: str | None = None
    untrained: tuple[str, ...] = ()
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
    plans: Mapping[str, Any] | None = None
    dataset_json: Mapping[str, Any] | None = None

    @property
    def num_input_channels(self) -> int | None:
        """Channels that the first convolution reads; None if there is no encoder."""
        for name, place in places_of(self.weights).items():
            is_weight = place.is_first_convolution and place.tensor == "weight"
            if is_weight and self.weights[name].ndim in (4, 5):
                return self.weights[name].shape[1]
        return None

    @property
    def title(self) -> str | None:
        """Method and variants in one text; None if the file does not say."""
        return self.method and " ".join([self.method, *self.variants])


def read_source(path: str | os.PathLike[str]) -> PretrainedSource:
    """Reads any pretrained file that fits nnU-Net's U-Nets, without running anything in it.

    Raises:
        ValueError: naming the file, if it cannot be read safely, if it is of another kind of
            network, or if its entries are not what they should be.
        OSError: if it cannot be read.
    """
    content = read_weights(path)
    try:
        return source_from(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def source_from(content: Mapping[str, Any]) -> PretrainedSource:
    """What the content of a file is, told by its entries.

    Raises:
        ValueError: if its network is no U-Net of the known shape, or if entries are not what they
            should be.
    """
    check_tensors(content["network_weights"])
    weights, untrained = as_trained(unwrapped(content["network_weights"]))
    if "nnunet_plans" in content:
        facts = _portable(read_entries(PortableEntries, content), weights)
    elif _is_of_a_pretraining(content, weights):
        facts = _pretraining(read_entries(CheckpointEntries, content), weights)
    elif "nnssl_adaptation_plan" in content:
        facts = _nnssl(read_entries(NnsslEntries, content), weights)
    elif isinstance(content.get("init_args"), Mapping):
        facts = _nnunet(read_entries(CheckpointEntries, content), weights)
    else:
        facts = {"kind": UNKNOWN, "weights": without_prefix(weights)}
    said = content.get("init_args")
    arguments = said if isinstance(said, Mapping) else {}
    source = PretrainedSource(
        **{**facts, "untrained": untrained, "decoder": _decoder(facts)},
        plans=content.get("nnunet_plans") or arguments.get("plans") or None,
        dataset_json=arguments.get("dataset_json") or None,
    )
    if source.num_input_channels is None:
        raise ValueError(
            f"the weights are not those of a U-Net as nnU-Net plans it ({NNUNET}, nnssl's ResEncL, "
            f"PlainConvUNet, ResidualEncoderUNet): no convolution is named encoder...; the first "
            f"names are {', '.join(list(weights)[:3])}"
        )
    return source


def _decoder(facts: Mapping[str, Any]) -> str | None:
    """How the decoder was trained: as the file says, or not at all if it holds none."""
    said = facts.get("decoder")
    if said not in (None, *DECODERS):
        raise ValueError(f'the entry "decoder" is {said!r}, and should be one of {DECODERS}')
    has_decoder = any(place.side != "encoder" for place in places_of(facts["weights"]).values())
    return said if has_decoder else NO_DECODER


def _is_of_a_pretraining(content: Mapping[str, Any], weights: Mapping[str, Tensor]) -> bool:
    """Whether it is a checkpoint of ours: it says its method, or holds a non-skip backbone."""
    if any(name.startswith("backbone.transpconvs.") for name in weights):
        return True
    has_backbone = any(name.startswith("backbone.") for name in weights)
    return has_backbone and {"method", "init_args"} <= content.keys()


def _portable(entries: PortableEntries, weights: dict[str, Tensor]) -> dict[str, Any]:
    facts = _plan_facts(entries.nnunet_plans, entries.configuration)
    if entries.pretrained_on is not None:
        # A file that was exported for another plan says what it was pretrained on.
        facts |= dict(entries.pretrained_on)
    return {
        **facts,
        "kind": PORTABLE,
        "weights": weights,
        **_described(entries),
        "planned_for": {k: v for k, v in entries.planned_for if v is not None},
        "channel_names": ordered_names(entries.channel_names),
        "epochs_done": entries.epochs_done,
        "num_epochs": entries.num_epochs,
    }


def _pretraining(entries: CheckpointEntries, weights: dict[str, Tensor]) -> dict[str, Any]:
    return {
        **_training_facts(entries),
        "kind": PRETRAINING,
        "weights": names_of_pretraining(weights),
        **_described(entries),
        "num_epochs": entries.settings.num_epochs,
    }


def _nnunet(entries: CheckpointEntries, weights: dict[str, Tensor]) -> dict[str, Any]:
    return {
        **_training_facts(entries),
        "kind": NNUNET,
        "weights": weights,
        "method": f"supervised ({entries.trainer_name})",
        "decoder": SKIPS,
    }


def _training_facts(entries: CheckpointEntries) -> dict[str, Any]:
    arguments = entries.init_args
    dataset_json = arguments.dataset_json
    return {
        **_plan_facts(arguments.plans, arguments.configuration),
        "channel_names": ordered_names(dataset_json.channel_names or dataset_json.modality),
        "epochs_done": entries.current_epoch,
    }


def _described(entries: PortableEntries | CheckpointEntries) -> dict[str, Any]:
    return {
        "method": entries.method,
        "variants": entries.variants,
        "decoder": entries.decoder,
        "citations": _plain(entries.citations),
    }


def _plan_facts(plans: Plans, configuration_name: str | None) -> dict[str, Any]:
    configuration = plans.configuration(configuration_name)
    class_name = configuration.architecture.network_class_name
    return {
        "architecture": class_name and class_name.rsplit(".", 1)[-1],
        "dataset_name": plans.dataset_name,
        "plans_dataset": plans.dataset_name,
        "plans_name": plans.plans_name,
        "configuration": configuration_name,
        "spacing": configuration.spacing,
        "patch_size": configuration.patch_size,
        "normalization": configuration.normalization_schemes,
    }


def _nnssl(entries: NnsslEntries, weights: dict[str, Tensor]) -> dict[str, Any]:
    plan = entries.nnssl_adaptation_plan
    prefix = _prefix_of_encoder(plan)
    # The one that was trained.
    name = next(iter(plan.pretrain_plan.configurations), None)
    facts = _plan_facts(plan.pretrain_plan, name)
    return {
        **facts,
        "kind": NNSSL,
        "weights": {n.removeprefix(prefix): value for n, value in weights.items()},
        "method": _method(entries.citations) or entries.trainer_name,
        "architecture": plan.architecture_plans.arch_class_name,
        # Its plans are nnssl's own, which no command of nnU-Net moves.
        "plans_dataset": None,
        "normalization": facts["normalization"] or NNSSL_NORMALIZATION,
        "epochs_done": entries.current_epoch,
        "citations": _plain(entries.citations),
    }


def _prefix_of_encoder(plan: AdaptationPlan) -> str:
    """What comes before `encoder` in the names of an nnssl checkpoint."""
    key = plan.key_to_encoder or "encoder.stages"
    if not key.endswith("encoder.stages"):
        raise ValueError(
            f"the file is an nnssl checkpoint of {plan.architecture_plans.arch_class_name} "
            f"(encoder under {key!r}); only convolutional U-Nets (ResEncL, ResidualEncoderUNet, "
            f"PlainConvUNet) fit the networks that nnU-Net plans. Use its ResEncL variant"
        )
    return key.removesuffix("encoder.stages")


def _method(citations: tuple[Citation, ...]) -> str | None:
    for citation in citations:
        if "method" in (citation.type or "").lower():
            return citation.name
    return None


def _plain(citations: tuple[Citation, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in citation
            if value
        }
        for citation in citations
    )
