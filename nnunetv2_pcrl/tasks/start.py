"""How a training of a task starts from pretrained weights: they are found, loaded, reported."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from nnunetv2.paths import nnUNet_results
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel

from nnunetv2_pcrl.label_folds.table import ordinary_fold, read_label_folds
from nnunetv2_pcrl.methods.pretraining import Pretraining
from nnunetv2_pcrl.training.results import FoundWeights, Wanted, find_weights
from nnunetv2_pcrl.weights.channels import InputChannels, channel_names_of
from nnunetv2_pcrl.weights.file_names import TRANSFER_REPORT, WEIGHTS_VARIABLE
from nnunetv2_pcrl.weights.portable import FRAMEWORK, citation_texts
from nnunetv2_pcrl.weights.remarks import remarks_on, remedy_for
from nnunetv2_pcrl.weights.report import TransferReport
from nnunetv2_pcrl.weights.sources import PretrainedSource, read_source
from nnunetv2_pcrl.weights.transfer import transfer_weights


@dataclass(frozen=True)
class Start:
    """Which weights a training wants, and what of them.

    Attributes:
        pretraining: whose weights are searched for.
        weights: path of the file; None searches for it.
        transductive: whether to take results of fold all only.
        transfer: what is loaded, one of `TRANSFER_MODES`.
        other_dimension: whether weights of a 2D network may start a 3D one and the other way.
    """

    pretraining: Pretraining
    weights: str | None = None
    transductive: bool = False
    transfer: str = "encoder"
    other_dimension: bool = False


def forget_report(trainer: nnUNetTrainer) -> None:
    """Removes the report of an earlier training in the trainer's folder, which is not about it."""
    if trainer.local_rank == 0:
        (Path(trainer.output_folder) / TRANSFER_REPORT).unlink(missing_ok=True)


def start_from_weights(trainer: nnUNetTrainer, start: Start) -> None:
    """Loads pretrained weights into the network of an initialised trainer, and says what came.

    Raises:
        ValueError: if no weights are found, or if they do not fit, naming the file.
    """
    dataset, plans = trainer.plans_manager.dataset_name, trainer.plans_manager.plans_name
    configuration = _pretrained_configuration(trainer)
    label_folds = read_label_folds(Path(trainer.preprocessed_dataset_folder_base))
    wanted = Wanted(
        Path(nnUNet_results.require()) / dataset,
        plans,
        configuration,
        (trainer.fold, ordinary_fold(label_folds, trainer.fold)),
        start.pretraining,
        start.transductive,
    )
    found = find_weights(os.environ.get(WEIGHTS_VARIABLE), start.weights, wanted)
    try:
        source = read_source(found.path)
        report = transfer_weights(
            source.weights,
            unwrapped(trainer.network),
            start.transfer,
            _input_channels(trainer, source),
            start.other_dimension,
            remedy_for(source, dataset, configuration, plans),
            source.decoder,
        )
    except ValueError as error:
        reason = str(error).removeprefix(f"{found.path}: ")
        raise ValueError(f"Weights {found.path} (from {found.origin}): {reason}") from error
    _write_report(trainer, start, found, source, report)


def citations_of(output_folder: str | os.PathLike) -> list[str]:
    """What to cite for a training: what made the weights that were loaded, and the framework."""
    path = Path(output_folder) / TRANSFER_REPORT
    loaded = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return list(dict.fromkeys(citation_texts([*loaded.get("citations", ()), FRAMEWORK])))


def unwrapped(network: nn.Module) -> nn.Module:
    """The network itself, without what DDP and torch.compile put around it."""
    if isinstance(network, DistributedDataParallel):
        network = network.module
    return network._orig_mod if isinstance(network, OptimizedModule) else network


def _pretrained_configuration(trainer: nnUNetTrainer) -> str:
    """The configuration itself; for a cascade, which cannot be pretrained, the one below it."""
    name, manager = trainer.configuration_name, trainer.plans_manager
    while manager.get_configuration(name).previous_stage_name is not None:
        parent = manager.plans["configurations"][name].get("inherits_from")
        if parent is None:
            break
        name = parent
    return name


def _input_channels(trainer: nnUNetTrainer, source: PretrainedSource) -> InputChannels:
    """Names of the image channels; a cascade's labels of the previous stage come after them."""
    names = channel_names_of(trainer.dataset_json)
    num_labels = trainer.num_input_channels - len(names or ())
    return InputChannels(source.channel_names, names, num_labels)


def _write_report(
    trainer: nnUNetTrainer,
    start: Start,
    found: FoundWeights,
    source: PretrainedSource,
    report: TransferReport,
) -> None:
    """Into the log and into the result folder."""
    trainer.print_to_log_file(f"Pretrained weights: {found.path}\nfrom {found.origin}")
    remarks = remarks_on(
        source,
        trainer.plans_manager.dataset_name,
        trainer.configuration_manager.normalization_schemes,
    )
    for line in (*remarks, *report.lines()):
        trainer.print_to_log_file(line, add_timestamp=False)
    if trainer.local_rank != 0:
        return
    about = {
        "weights": str(found.path),
        "origin": found.origin,
        "kind": source.kind,
        "method": source.method,
        "variants": source.variants,
        "citations": source.citations,
        "transfer": start.transfer,
        "remarks": remarks,
    }
    with open(Path(trainer.output_folder) / TRANSFER_REPORT, "w") as file:
        json.dump({**about, **report.as_plain()}, file, indent=2)
