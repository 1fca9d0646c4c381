"""The trained folds whose probabilities are averaged, and their networks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import Tensor, nn

from nnunetv2_pcrl.tasks.encoder.checkpoint import TrainedClassifier, read_classifier
from nnunetv2_pcrl.tasks.encoder.network import Classifier
from nnunetv2_pcrl.tasks.encoder.task import Task


def read_folds(
    folder: Path,
    numbers: Sequence[str],
    checkpoint: str,
    task: Task,
    inputs_of: Callable[[TrainedClassifier], Any],
) -> dict[Path, TrainedClassifier]:
    """Checkpoints of the folds of a training, by path.

    Args:
        folder: of the training in the results of its data set.
        numbers: of the folds.
        checkpoint: name of the files.
        task: that they are of.
        inputs_of: what the network of a fold sees; equal for folds that agree.

    Raises:
        ValueError: if one is missing, or if they differ in classes or inputs.
    """
    paths = [folder / f"fold_{number}" / checkpoint for number in dict.fromkeys(numbers)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        there = sorted(path.parent.name for path in folder.glob(f"fold_*/{checkpoint}"))
        others = sorted(path.name for path in folder.parent.glob(f"*{task.role}Trainer*"))
        raise ValueError(
            f"There is no {missing[0]}. Folds with that checkpoint: {', '.join(there) or 'none'}; "
            f"trainings of {folder.parent.name}: {', '.join(others) or 'none'}. Choose by -f, -tr, "
            f"-p and -c, or train it."
        )
    folds = {path: read_classifier(path, task) for path in paths}
    check_folds_agree(folds, inputs_of)
    return folds


def managers_of(trained: TrainedClassifier) -> tuple[PlansManager, ConfigurationManager]:
    """nnU-Net's views of the plans and of the configuration."""
    plans = PlansManager(trained.plans)
    return plans, plans.get_configuration(trained.configuration)


def num_input_channels(trained: TrainedClassifier) -> int:
    """Channels of the images."""
    return determine_num_input_channels(*managers_of(trained), trained.dataset_json)


def build(trained: TrainedClassifier) -> Classifier:
    """The network with its trained weights, in evaluation mode."""
    planned = nnUNetTrainer.build_network_architecture(
        *managers_of(trained), num_input_channels(trained), 1, True
    )
    settings = trained.settings
    network = Classifier(planned, len(trained.names), settings.stages, settings.dropout)
    network.load_state_dict(trained.weights)
    return network.eval()


class AllFolds(nn.Module):
    """The classifiers of several folds side by side."""

    def __init__(self, classifiers: Sequence[nn.Module]):
        super().__init__()
        self.classifiers = nn.ModuleList(classifiers)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape [B, folds, K]."""
        return torch.stack([classifier(images) for classifier in self.classifiers], dim=1)


def check_folds_agree(
    folds: Mapping[Path, TrainedClassifier], inputs_of: Callable[[TrainedClassifier], Any]
) -> None:
    """Refuses folds that have learned other classes, or that see other inputs.

    Raises:
        ValueError: naming two of them.
    """
    (first_path, first), *others = folds.items()
    for path, trained in others:
        for what, a, b in (
            ("classes", first.names, trained.names),
            ("kinds of classes", first.kind, trained.kind),
            ("inputs", *(inputs_of(one) for one in (first, trained))),
        ):
            if a != b:
                raise ValueError(
                    f"{first_path} and {path} have other {what} ({a} and {b}): train one of them "
                    f"anew, or leave it out by -f."
                )
