"""nnUNetv2_pcrl_export: writes a pretrained file for the network of a given plan."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

import nnunetv2_pcrl
from nnunetv2_pcrl.weights.adaptation_plan import build_adaptation_plan
from nnunetv2_pcrl.weights.atomic import check_can_be_made
from nnunetv2_pcrl.weights.channels import InputChannels, channel_names_of
from nnunetv2_pcrl.weights.portable import write_weights
from nnunetv2_pcrl.weights.reading import read_weights
from nnunetv2_pcrl.weights.remarks import remedy_for
from nnunetv2_pcrl.weights.report import TransferReport
from nnunetv2_pcrl.weights.sources import PretrainedSource, embedded_plans, source_from
from nnunetv2_pcrl.weights.transfer import transfer_weights

# Segmentation layers are not written; the network needs some to be built.
NUM_CLASSES = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; weights that do not fit end it with the reason and exit status 1."""
    parser = argparse.ArgumentParser(
        prog="nnUNetv2_pcrl_export",
        description="Writes the weights of a pretrained file for the network of a given plan, "
        "under stock names and shapes, for -pretrained_weights and for nnU-Net's "
        "pretrained-weights commands.",
    )
    parser.add_argument("-i", dest="input", type=Path, required=True, help="checkpoint or weights")
    parser.add_argument("-o", dest="output", type=Path, required=True, help="file to write")
    parser.add_argument(
        "--plans",
        type=Path,
        help="nnU-Net plans file of the target; dataset.json beside it says the channels. "
        "Default: the plans of the pretraining.",
    )
    parser.add_argument(
        "-c", dest="configuration", help="configuration; default: the one of the pretraining"
    )
    parser.add_argument(
        "--encoder_only",
        action="store_true",
        help="leave the decoder out: for commands that load the encoder only "
        "(stock -pretrained_weights needs the decoder too)",
    )
    parser.add_argument(
        "--other_dimension", action="store_true", help="allow 2D weights for 3D plans and back"
    )
    options = parser.parse_args(arguments)
    try:
        report = export(
            options.input,
            options.output,
            options.plans,
            options.configuration,
            options.encoder_only,
            options.other_dimension,
        )
    except ValueError as error:
        parser.exit(1, f"{error}\n")
    print("\n".join(report.lines()))
    print(f"Wrote {options.output}")


def export(
    path: Path,
    output: Path,
    plans_file: Path | None = None,
    configuration_name: str | None = None,
    encoder_only: bool = False,
    other_dimension: bool = False,
) -> TransferReport:
    """Writes the weights of a file for the network of a plan.

    Args:
        path: any pretrained file that `read_source` reads.
        output: file to write; it must not exist.
        plans_file: plans of the target; None takes those in the file.
        configuration_name: of the target; None takes that of the pretraining.
        encoder_only: whether the decoder is left out.
        other_dimension: whether 2D weights may serve 3D plans and the other way.

    Returns:
        What was loaded, adapted and left as nnU-Net initialises it (seed 0).

    Raises:
        ValueError: if the file, the plans or the configuration cannot be used.
    """
    check_can_be_made(output)
    content = read_weights(path)
    source = source_from(content)
    plans, dataset_json = _target(content, plans_file)
    name = _configuration_name(plans, configuration_name or source.configuration)
    manager = PlansManager(plans)
    configuration = manager.get_configuration(name)
    num_channels, channels = _channels(source, manager, configuration, dataset_json)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nnUNetTrainer.build_network_architecture(
            manager, configuration, num_channels, NUM_CLASSES, enable_deep_supervision=True
        )
    mode = "encoder" if encoder_only else "encoder_decoder_zero_skip"
    remedy = remedy_for(source, plans["dataset_name"], name, plans["plans_name"])
    report = transfer_weights(source.weights, network, mode, channels, other_dimension, remedy)
    written = {
        key: value
        for key, value in network.state_dict().items()
        if ".seg_layers." not in key and (key.startswith("encoder.") or not encoder_only)
    }
    about = _about(source, plans, name, channels.network_names)
    if hasattr(network, "key_to_encoder"):
        about["nnssl_adaptation_plan"] = build_adaptation_plan(
            plans,
            configuration.configuration,
            name,
            num_channels,
            network.key_to_encoder,
            network.key_to_stem,
            network.keys_to_in_proj,
        )
    write_weights(output, written, about)
    return report


def _target(
    content: Mapping[str, Any], plans_file: Path | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Plans and dataset.json of the target; None where there is no dataset.json."""
    if plans_file is None:
        plans = embedded_plans(content)
        if plans is None:
            raise ValueError(
                "the file holds no nnU-Net plans; name those of the target with --plans"
            )
        return plans, (content.get("init_args") or {}).get("dataset_json") or None
    if not plans_file.is_file():
        raise ValueError(f"there is no plans file {plans_file}")
    plans = _read_json(plans_file)
    if "configurations" not in plans:
        raise ValueError(
            f'{plans_file} is no plans file of nnU-Net, as it has no "configurations"; name that '
            f"of the target, e.g. nnUNet_preprocessed/DATASET/nnUNetPlans.json"
        )
    dataset_file = plans_file.with_name("dataset.json")
    return plans, _read_json(dataset_file) if dataset_file.is_file() else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dictionary")
    return content


def _channels(
    source: PretrainedSource,
    manager: PlansManager,
    configuration: ConfigurationManager,
    dataset_json: dict[str, Any] | None,
) -> tuple[int, InputChannels]:
    """Number of input channels of the target's network, and what is known of them."""
    num_image_channels = len(configuration.normalization_schemes)
    if dataset_json is None:
        if configuration.previous_stage_name is not None:
            raise ValueError(
                f"a cascade has one more input channel per label of {manager.dataset_name}, and "
                f"there is no dataset.json beside the plans that says which; put it there"
            )
        has_as_many = source.num_input_channels == num_image_channels
        names = source.channel_names if has_as_many else None
        return num_image_channels, InputChannels(source.channel_names, names)
    names = channel_names_of(dataset_json) or ()
    if len(names) != num_image_channels:
        raise ValueError(
            f"dataset.json names {len(names)} channels, {', '.join(names)}, and the plans "
            f"normalise {num_image_channels}: they are not of one data set; put the dataset.json "
            f"of {manager.dataset_name} beside the plans"
        )
    num_channels = determine_num_input_channels(manager, configuration, dataset_json)
    return num_channels, InputChannels(
        source.channel_names, names, num_channels - num_image_channels
    )


def _configuration_name(plans: Mapping[str, Any], name: str | None) -> str:
    known = list(plans["configurations"])
    if name not in known:
        raise ValueError(
            f"the plans have no configuration {name}; choose one of {', '.join(known)} with -c"
        )
    return name


def _about(
    source: PretrainedSource,
    plans: dict[str, Any],
    configuration_name: str,
    channel_names: tuple[str, ...] | None,
) -> dict[str, Any]:
    """What the written file says of itself; facts of the pretraining are those of the source."""
    return {
        "method": source.method,
        "made_by": f"nnunetv2_pcrl {nnunetv2_pcrl.__version__}",
        "citations": [dict(citation) for citation in source.citations],
        "nnunet_plans": plans,
        "configuration": configuration_name,
        "channel_names": {str(i): name for i, name in enumerate(channel_names or ())},
        "epochs_done": source.epochs_done,
        "num_epochs": source.num_epochs,
        "pretrained_on": {
            "dataset_name": source.dataset_name,
            "spacing": source.spacing and list(source.spacing),
            "normalization": source.normalization and list(source.normalization),
        },
    }


if __name__ == "__main__":
    main()
