"""What the monitoring needs to know of a pretraining, gathered from nnU-Net's trainer."""

import shlex
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

import nnunetv2_pcrl
from nnunetv2_pcrl.methods.settings import PretrainingSettings
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.pictures_figure import PICTURES_NAME
from nnunetv2_pcrl.monitoring.pretraining_monitor import MonitoredRun
from nnunetv2_pcrl.training.results import how_to_fine_tune
from nnunetv2_pcrl.weights.channels import channel_names_of
from nnunetv2_pcrl.weights.file_names import WEIGHTS_FILE
from nnunetv2_pcrl.weights.portable import citation_texts, citations_with


def run_of(trainer: nnUNetTrainer) -> dict[str, Any]:
    """What the report calls a run."""
    return {
        "data set": trainer.plans_manager.dataset_name,
        "trainer": trainer.__class__.__name__,
        "plans": trainer.plans_manager.plans_name,
        "configuration": trainer.configuration_name,
        "fold": trainer.fold,
        "device": str(trainer.device),
        "versions": f"nnunetv2_pcrl {nnunetv2_pcrl.__version__}, torch {torch.__version__}",
        "result folder": str(trainer.output_folder),
    }


def data_of(trainer: nnUNetTrainer) -> dict[str, Any]:
    """What the report says about data and network."""
    configuration = trainer.configuration_manager
    network = trainer.network
    return {
        "channels": list(channel_names(trainer)),
        "spacing [mm]": [round(float(s), 4) for s in configuration.spacing],
        "planned patch": list(configuration.patch_size),
        "normalisation": list(configuration.normalization_schemes),
        "network": configuration.network_arch_class_name.split(".")[-1],
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
    }


def channel_names(trainer: nnUNetTrainer) -> list[str]:
    """Names of the image's channels, in the order of the channels."""
    names = channel_names_of(trainer.dataset_json) or ()
    unnamed = range(len(names), trainer.num_input_channels)
    return [*names, *(f"channel {c}" for c in unnamed)]


def class_names(trainer: nnUNetTrainer) -> dict[int, str]:
    """Names of the label values of a data set, 0 first; none if it has no labelled case.

    Where labels are regions of several values, the values themselves are the classes, named by the
    regions that they belong to.
    """
    folder = Path(trainer.preprocessed_dataset_folder)
    if not any(folder.glob("*_seg.*")) and not any(folder.glob("*.npz")):
        return {}
    ignored = trainer.label_manager.ignore_label
    labels = trainer.dataset_json.get("labels", {})
    names = {}
    # nnU-Net's values are NumPy's, which compare with a list number by number.
    for value in sorted(map(int, trainer.label_manager.all_labels)):
        if value == ignored:
            continue
        own = [name for name, of_name in labels.items() if of_name == value]
        regions = [
            n for n, values in labels.items() if isinstance(values, list) and value in values
        ]
        names[value] = own[0] if own else f"value {value} ({', '.join(regions)})"
    return names


def command_of(trainer: nnUNetTrainer) -> str:
    """What to type for the same training."""
    words = [
        "nnUNetv2_train",
        trainer.plans_manager.dataset_name,
        trainer.configuration_name,
        str(trainer.fold),
        "-tr",
        type(trainer).__name__,
        "-p",
        trainer.plans_manager.plans_name,
    ]
    if trainer.is_ddp:
        words += ["-num_gpus", str(torch.distributed.get_world_size())]
    if trainer.device.type != "cuda":
        words += ["-device", trainer.device.type]
    return shlex.join(words)


def monitored_run(trainer: nnUNetTrainer, guard: Guard) -> MonitoredRun:
    """A pretraining as its monitor sees it.

    Args:
        trainer: initialised, with its streams of views and its `method`.
        guard: of this trainer.
    """
    method = trainer.method
    settings, facts = method.settings, method.facts
    training = list(trainer.dataloader_train.identifiers)
    validation = list(trainer.dataloader_val.identifiers)
    return MonitoredRun(
        output_folder=Path(trainer.output_folder),
        data_folder=Path(trainer.preprocessed_dataset_folder),
        training_cases=training,
        validation_cases=validation,
        settings=settings,
        method=method,
        shown=trainer.shown,
        patch_size=facts.patch_size,
        spacing=facts.spacing,
        total_stride=facts.total_stride,
        transpose=trainer.plans_manager.transpose_forward,
        channels=channel_names(trainer),
        measured=facts.channels,
        classes=class_names(trainer),
        network=trainer.network,
        device=trainer.device,
        autocast=trainer.autocast,
        guard=guard,
        record={
            "method": method.about.name,
            "run": run_of(trainer),
            "command": command_of(trainer),
            "cases": {"training": training, "validation": validation},
            "data": {
                "method": f"{method.about.name}: {method.about.title}",
                "training cases": len(training),
                "validation cases": len(validation),
                **data_of(trainer),
            },
            "settings": settings.as_plain(),
            "defining": _defining(settings),
            "num_epochs": settings.num_epochs,
            "pictures": {PICTURES_NAME: "What is learned"},
            "usage": how_to_fine_tune(
                Path(trainer.output_folder) / WEIGHTS_FILE,
                type(trainer).__name__,
                trainer.plans_manager.plans,
                trainer.configuration_name,
            ),
            "citations": citation_texts(citations_with(method.about.citations)),
        },
    )


def _defining(settings: PretrainingSettings) -> dict[str, Any]:
    """Settings without which the numbers of a run cannot be compared with those of another.

    The method's own, but for the weights of terms, which are logged one by one; and the images of a
    step, among which contrasts tell.
    """
    common = PretrainingSettings.names() - {"batch_size"}
    return {
        name: value
        for name, value in settings.as_plain().items()
        if name not in common and not name.endswith("_weight")
    }
