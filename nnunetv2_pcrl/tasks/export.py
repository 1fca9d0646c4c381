"""Writing a pretrained file for the network of a given plan."""

from pathlib import Path
from typing import Any

import nnunetv2_pcrl
from nnunetv2_pcrl.tasks.export_target import Target, read_plans, target_of
from nnunetv2_pcrl.weights.atomic import check_can_be_made
from nnunetv2_pcrl.weights.portable import NO_DECODER, write_weights
from nnunetv2_pcrl.weights.remarks import notes_on, remedy_for
from nnunetv2_pcrl.weights.report import TransferReport
from nnunetv2_pcrl.weights.sources import PretrainedSource, read_source
from nnunetv2_pcrl.weights.transfer import transfer_weights


def export(
    path: Path,
    output: Path,
    plans_file: Path | None = None,
    configuration_name: str | None = None,
    encoder_only: bool = False,
    other_dimension: bool = False,
) -> list[str]:
    """Writes the weights of a file for the network of a plan.

    Args:
        path: any pretrained file that `read_source` reads.
        output: file to write; it must not exist.
        plans_file: plans of the target; None takes those in the file.
        configuration_name: of the target; None takes that of the pretraining.
        encoder_only: whether the decoder is left out.
        other_dimension: whether 2D weights may serve 3D plans and the other way.

    Returns:
        What is odd about the file, and what was loaded, adapted and left as nnU-Net initialises it
        (seed 0).

    Raises:
        ValueError: if the file, the plans or the configuration cannot be used.
        OSError: if a file cannot be read or written.
    """
    check_can_be_made(output)
    source = read_source(path)
    planned = None if plans_file is None else read_plans(plans_file)
    named = path if plans_file is None else plans_file
    try:
        target = target_of(source, planned, configuration_name)
        report = _write(source, target, output, encoder_only, other_dimension)
    except OSError:
        raise
    except ValueError as error:
        raise ValueError(f"{named}: {error}") from error
    except Exception as error:
        # Plans that lack an entry, or hold another kind of value, fail anywhere in nnU-Net.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{named}: nnU-Net builds no network from these plans ({reason[:300]}); name a plans "
            f"file that it made with --plans"
        ) from error
    lines = [*notes_on(source), *report.lines()]
    if source.decoder == NO_DECODER and not encoder_only:
        lines.append("The pretraining trained no decoder: it is as nnU-Net initialises it.")
    return [*lines, f"Wrote {output}"]


def _write(
    source: PretrainedSource,
    target: Target,
    output: Path,
    encoder_only: bool,
    other_dimension: bool,
) -> TransferReport:
    num_channels, channels = target.channels(source)
    network = target.network(num_channels)
    plans = target.manager.plans
    has_trained_decoder = not encoder_only and source.decoder != NO_DECODER
    report = transfer_weights(
        source.weights,
        network,
        "encoder_decoder_zero_skip" if has_trained_decoder else "encoder",
        channels,
        other_dimension,
        remedy_for(source, plans["dataset_name"], target.name, plans["plans_name"]),
        source.decoder,
    )
    written = {
        key: value
        for key, value in network.state_dict().items()
        if ".seg_layers." not in key and (key.startswith("encoder.") or not encoder_only)
    }
    about = _about(source, target, channels.network_names)
    if not has_trained_decoder:
        about["decoder"] = NO_DECODER
    adaptation_plan = target.adaptation_plan(network, num_channels)
    if adaptation_plan is not None:
        about["nnssl_adaptation_plan"] = adaptation_plan
    write_weights(output, written, about)
    return report


def _about(
    source: PretrainedSource, target: Target, channel_names: tuple[str, ...] | None
) -> dict[str, Any]:
    """What the written file says of itself; facts of the pretraining are those of the source."""
    about = {
        "method": source.method,
        "variants": list(source.variants),
        "made_by": f"nnunetv2_pcrl {nnunetv2_pcrl.__version__}",
        "citations": [dict(citation) for citation in source.citations],
        "nnunet_plans": target.manager.plans,
        "configuration": target.name,
        "channel_names": {str(i): name for i, name in enumerate(channel_names or ())},
        "epochs_done": source.epochs_done,
        "num_epochs": source.num_epochs,
        "pretrained_on": {
            "dataset_name": source.dataset_name,
            "spacing": source.spacing and list(source.spacing),
            "normalization": source.normalization and list(source.normalization),
        },
    }
    return about if source.decoder is None else {**about, "decoder": source.decoder}
