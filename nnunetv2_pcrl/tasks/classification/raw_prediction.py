"""From raw images to probabilities: nnU-Net's preprocessing, the networks of all folds."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import Tensor, autocast, nn

from nnunetv2_pcrl.tasks.classification.checkpoint import TrainedClassifier
from nnunetv2_pcrl.tasks.classification.framing import framing_of
from nnunetv2_pcrl.tasks.classification.loss import probabilities
from nnunetv2_pcrl.tasks.classification.network import Classifier
from nnunetv2_pcrl.tasks.classification.predicting import case_logits
from nnunetv2_pcrl.tasks.classification.predictions import Predictions
from nnunetv2_pcrl.tasks.classification.samples import AllInputs, loader_of


def find_cases(folder: Path, file_ending: str, num_channels: int) -> dict[str, list[str]]:
    """Image files by case, one per channel, as nnU-Net names them: CASE_0000.png and so on.

    Args:
        folder: of the images.
        file_ending: of the data set, e.g. .png.
        num_channels: that the networks take.

    Raises:
        ValueError: if there are none, or if a channel of a case is missing.
    """
    first = f"_0000{file_ending}"
    names = sorted(path.name for path in folder.glob(f"*{first}")) if folder.is_dir() else []
    if not names:
        raise ValueError(
            f"There is no image named CASE{first} in {folder}. Images need the names, the "
            f"channels and the file ending of the training images."
        )
    cases = {}
    for name in names:
        case = name.removesuffix(first)
        files = [folder / f"{case}_{channel:04d}{file_ending}" for channel in range(num_channels)]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise ValueError(
                f"Case {case} in {folder} has no {missing[0]}; the networks take {num_channels} "
                f"channels."
            )
        cases[case] = list(map(str, files))
    return cases


@dataclass(frozen=True)
class RawInputs:
    """Inputs of raw images, by nnU-Net's preprocessing.

    Attributes:
        files: image files by case.
        trained: whose plans, configuration and settings count.
    """

    files: Mapping[str, Sequence[str]]
    trained: TrainedClassifier

    def inputs(self, identifier: str) -> Iterator[Tensor]:
        """All inputs of a case, each of shape [C, *patch].

        Raises:
            ValueError: if its image cannot be read or preprocessed, naming it.
        """
        plans, plan = managers_of(self.trained)
        preprocessor = plan.preprocessor_class(verbose=False)
        try:
            array, _, _ = preprocessor.run_case(
                list(self.files[identifier]), None, plans, plan, self.trained.dataset_json
            )
        except Exception as error:
            # What readers raise on a damaged file is of almost any type.
            raise ValueError(
                f"Case {identifier} ({self.files[identifier][0]}) cannot be read: {error}. Take it "
                f"out of the folder, or replace it."
            ) from error
        image = torch.from_numpy(array)
        framing = framing_of(plan.patch_size, self.trained.settings)
        for box in framing.boxes(image.shape[1:]):
            yield framing.framed(image[(slice(None), *box.slices)])


class AllFolds(nn.Module):
    """The classifiers of several folds side by side."""

    def __init__(self, classifiers: Sequence[nn.Module]):
        super().__init__()
        self.classifiers = nn.ModuleList(classifiers)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape [B, folds, K]."""
        return torch.stack([classifier(images) for classifier in self.classifiers], dim=1)


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


def check_folds_agree(folds: Mapping[Path, TrainedClassifier]) -> None:
    """Refuses folds that have learned other classes, or that see other inputs.

    Raises:
        ValueError: naming two of them.
    """
    (first_path, first), *others = folds.items()
    for path, trained in others:
        for what, a, b in (
            ("classes", first.names, trained.names),
            ("kinds of classes", first.kind, trained.kind),
            ("inputs", *(_inputs_of(one) for one in (first, trained))),
        ):
            if a != b:
                raise ValueError(
                    f"{first_path} and {path} have other {what} ({a} and {b}): train one of them "
                    f"anew, or leave it out by -f."
                )


def _inputs_of(trained: TrainedClassifier) -> tuple:
    plan = managers_of(trained)[1]
    return framing_of(plan.patch_size, trained.settings), tuple(plan.spacing)


def predict_raw(
    folds: Sequence[TrainedClassifier],
    files: Mapping[str, Sequence[str]],
    device: torch.device,
    num_workers: int,
) -> Predictions:
    """Probabilities of raw images: the mean over the folds.

    Args:
        folds: that agree, see `check_folds_agree`.
        files: image files by case.
        device: to compute on.
        num_workers: processes that read and preprocess; 0 for this one.
    """
    network = AllFolds([build(trained) for trained in folds]).to(device).eval()
    first = folds[0]
    batch_size = first.settings.images_per_step(managers_of(first)[1])
    is_cuda = device.type == "cuda"
    batches = loader_of(
        AllInputs(RawInputs(files, first).inputs, list(files)), batch_size, num_workers, is_cuda
    )
    logits = case_logits(
        network, batches, device, lambda: autocast("cuda") if is_cuda else nullcontext()
    )
    by_case = {
        case: probabilities(torch.from_numpy(logits[case]), first.kind).mean(0).numpy()
        for case in files
    }
    return Predictions.of_cases(first.names, by_case)
