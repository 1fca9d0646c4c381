"""From raw images to probabilities: nnU-Net's preprocessing, the networks of all folds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, autocast

from nnunetv2_pcrl.tasks.encoder.checkpoint import TrainedClassifier
from nnunetv2_pcrl.tasks.encoder.loss import probabilities
from nnunetv2_pcrl.tasks.encoder.predicting import case_logits
from nnunetv2_pcrl.tasks.encoder.samples import AllInputs, loader_of
from nnunetv2_pcrl.tasks.encoder.trained_folds import AllFolds, build, managers_of


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
class RawCases:
    """Raw images, read and preprocessed as nnU-Net does.

    Attributes:
        files: image files by case.
        trained: whose plans and configuration count.
    """

    files: Mapping[str, Sequence[str]]
    trained: TrainedClassifier

    def read(self, identifier: str) -> tuple[Tensor, dict[str, Any]]:
        """The preprocessed image, shape [C, D, H, W], and what nnU-Net keeps of the raw one.

        Raises:
            ValueError: if it cannot be read or preprocessed, naming it.
        """
        plans, plan = managers_of(self.trained)
        preprocessor = plan.preprocessor_class(verbose=False)
        try:
            array, _, properties = preprocessor.run_case(
                list(self.files[identifier]), None, plans, plan, self.trained.dataset_json
            )
        except Exception as error:
            # What readers raise on a damaged file is of almost any type.
            raise ValueError(
                f"Case {identifier} ({self.files[identifier][0]}) cannot be read: {error}. Take it "
                f"out of the folder, or replace it."
            ) from error
        return torch.from_numpy(array), properties


def predict_inputs(
    folds: Sequence[TrainedClassifier],
    inputs_of: Callable[[str], Iterator[tuple[str, Tensor]]],
    cases: Sequence[str],
    device: torch.device,
    num_workers: int,
) -> dict[str, np.ndarray]:
    """Probabilities, the mean over the folds, each of shape [K], by what the inputs belong to.

    Args:
        folds: that agree in classes and inputs.
        inputs_of: gives the inputs of a raw case, see `AllInputs`.
        cases: in any order.
        device: to compute on.
        num_workers: processes that read and preprocess; 0 for this one.
    """
    network = AllFolds([build(trained) for trained in folds]).to(device).eval()
    first = folds[0]
    batch_size = first.settings.images_per_step(managers_of(first)[1])
    is_cuda = device.type == "cuda"
    batches = loader_of(AllInputs(inputs_of, list(cases)), batch_size, num_workers, is_cuda)
    logits = case_logits(
        network, batches, device, lambda: autocast("cuda") if is_cuda else nullcontext()
    )
    return {
        name: probabilities(torch.from_numpy(values), first.kind).mean(0).numpy()
        for name, values in logits.items()
    }
