"""What the monitoring needs to know of a pretraining, gathered from nnU-Net's trainer."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

import nnunetv2_pcrl
from nnunetv2_pcrl.monitoring.guard import Guard
from nnunetv2_pcrl.monitoring.pretraining_monitor import MonitoredRun
from nnunetv2_pcrl.training.results import how_to_fine_tune
from nnunetv2_pcrl.weights.channels import channel_names_of
from nnunetv2_pcrl.weights.portable import APA_CITATIONS, FILE_NAME


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

    Where labels are regions of several values, the values themselves are the classes.
    """
    folder = Path(trainer.preprocessed_dataset_folder)
    if not any(folder.glob("*_seg.*")) and not any(folder.glob("*.npz")):
        return {}
    ignored = trainer.label_manager.ignore_label
    names = {}
    for value in sorted(trainer.label_manager.all_labels):
        if value != ignored:
            names[int(value)] = f"class {value}"
    for name, value in trainer.dataset_json.get("labels", {}).items():
        if isinstance(value, int) and value in names:
            names[value] = name
    return names


def monitored_run(trainer: nnUNetTrainer, guard: Guard) -> MonitoredRun:
    """A pretraining as its monitor sees it.

    Args:
        trainer: initialised, with its streams of views.
        guard: of this trainer.
    """
    folder = Path(trainer.preprocessed_dataset_folder)
    training = trainer.dataloader_train.identifiers
    validation = trainer.dataloader_val.identifiers
    settings = trainer.settings
    strides = trainer.configuration_manager.network_arch_init_kwargs["strides"]
    return MonitoredRun(
        Path(trainer.output_folder),
        folder,
        training,
        validation,
        settings,
        np.prod(strides, axis=0).tolist(),
        channel_names(trainer),
        class_names(trainer),
        trainer.network,
        trainer.device,
        trainer.autocast,
        guard,
        {
            "run": run_of(trainer),
            "data": {
                "training cases": len(training),
                "validation cases": len(validation),
                **data_of(trainer),
            },
            "settings": settings.as_plain(),
            "num_epochs": settings.num_epochs,
            "num_levels": trainer.network.num_levels,
            "usage": how_to_fine_tune(
                Path(trainer.output_folder) / FILE_NAME,
                type(trainer).__name__,
                trainer.plans_manager.plans,
                trainer.configuration_name,
            ),
            "citations": APA_CITATIONS,
        },
    )
