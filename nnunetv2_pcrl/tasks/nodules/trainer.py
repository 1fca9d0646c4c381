"""The trainer of nodules: balanced batches of cubes around candidates, the challenge's score."""

from collections.abc import Sequence
from math import ceil, prod
from pathlib import Path

import numpy as np
import torch

from nnunetv2_pcrl.datasets.candidates import candidate_classes, read_candidates
from nnunetv2_pcrl.datasets.classes import ClassTable
from nnunetv2_pcrl.tasks.encoder.augmentation import Liberties
from nnunetv2_pcrl.tasks.encoder.progress import Described
from nnunetv2_pcrl.tasks.encoder.streams import InputStreams
from nnunetv2_pcrl.tasks.encoder.trainer import EncoderTrainer
from nnunetv2_pcrl.tasks.nodules.batches import BalancedOrder
from nnunetv2_pcrl.tasks.nodules.candidate_reader import CandidateReader
from nnunetv2_pcrl.tasks.nodules.settings import NODULE_TRAININGS, NoduleSettings
from nnunetv2_pcrl.tasks.nodules.split import NoduleSplit, split_candidates
from nnunetv2_pcrl.tasks.nodules.validation import write_validation
from nnunetv2_pcrl.tasks.start import unwrapped


class NoduleTrainer(EncoderTrainer):
    """Learns which candidates of candidates.csv are nodules.

    Probabilities are those of balanced batches: their order counts.
    """

    task = NODULE_TRAININGS
    split: NoduleSplit
    settings: NoduleSettings

    def read_classes(self) -> ClassTable:
        """Nodule or not, of all candidates."""
        self.candidates = read_candidates(Path(self.preprocessed_dataset_folder_base))
        return candidate_classes(self.candidates)

    def split_of(self, there: Sequence[str]) -> NoduleSplit:
        """The candidates of the fold's scans."""
        folder = Path(self.preprocessed_dataset_folder_base)
        return split_candidates(folder, there, self.candidates, self.fold)

    def input_size(self) -> tuple[int, ...]:
        """Voxels per axis of a cube, (D, H, W)."""
        return self.settings.cube_voxels(self.configuration_manager)

    def reader(self) -> CandidateReader:
        """Reads cubes as the network sees them."""
        return self._reader(self.input_size())

    def training_reader(self) -> CandidateReader:
        """Reads cubes with room for turning, shifted a little."""
        size = self.input_size()
        room = Liberties.of_nnunet(size).drawn_size
        # An even number of voxels more, so that the centre stays the centre.
        drawn = [
            own + 2 * max(0, ceil((wide - own) / 2)) for own, wide in zip(size, room, strict=True)
        ]
        spacing = self.configuration_manager.spacing
        return self._reader(drawn, [int(self.settings.max_shift_mm // mm) for mm in spacing])

    def _reader(self, size: Sequence[int], max_shift: Sequence[int] = (0, 0, 0)) -> CandidateReader:
        return CandidateReader(
            Path(self.preprocessed_dataset_folder),
            self.candidates,
            size,
            self.plans_manager.transpose_forward,
            max_shift,
        )

    def initialize(self):
        """As all; refuses cubes that the encoder makes a single voxel of.

        Raises:
            ValueError: with the smallest edge that is left of a larger cube.
        """
        super().initialize()
        encoder = unwrapped(self.network).encoder
        strides = [prod(axis) for axis in zip(*encoder.strides, strict=True)]
        size = self.input_size()
        if prod(-(-own // stride) for own, stride in zip(size, strides, strict=True)) < 2:
            spacing = self.configuration_manager.spacing
            enough = min((stride + 1) * mm for stride, mm in zip(strides, spacing, strict=True))
            raise ValueError(
                f'"cube_mm" {self.settings.cube_mm:g} (settings in section "{self.task.section}") '
                f"makes cubes of {size} voxels, of which the encoder, with strides of {strides}, "
                f"leaves a single one, which cannot be normalised. Use {enough:.0f} or more."
            )

    def order_of(self, table: ClassTable) -> BalancedOrder:
        """Nodules and others by turns."""
        labels = torch.from_numpy(table.targets[:, 0])
        return BalancedOrder(labels, self.settings.negatives_per_positive, self.settings.seed)

    def first_logits(self, table: ClassTable) -> np.ndarray:
        """The log odds of a nodule in a batch, shape [1]."""
        return -np.log([float(self.settings.negatives_per_positive)])

    def cases_of_epoch(self, streams: InputStreams) -> ClassTable:
        """All nodules of the validation scans, and as many others as the settings allow."""
        table = self.split.val
        is_nodule = table.targets[:, 0] == 1
        others = [case for case, one in zip(table.identifiers, is_nodule, strict=True) if not one]
        some = streams.some_cases(table.of(others), self.settings.max_val_candidates)
        chosen = set(some.identifiers)
        return table.of(
            [
                case
                for case, one in zip(table.identifiers, is_nodule, strict=True)
                if one or case in chosen
            ]
        )

    def described(self) -> Described:
        """Its scans, for the record."""
        split = self.split
        data = {
            "cube [voxels]": list(self.input_size()),
            "training candidates": len(split.train),
            "of them nodules": int(split.train.targets.sum()),
        }
        method = "false-positive reduction of nodule candidates with the planned encoder"
        return Described(method, split.train.names, split.train_scans, split.val_scans, data)

    def write_validation(self, predicted: np.ndarray, checkpoint: str) -> None:
        """Scores of all candidates as the challenge wants them, its score, and a report."""
        write_validation(self, predicted[:, 0], checkpoint)
