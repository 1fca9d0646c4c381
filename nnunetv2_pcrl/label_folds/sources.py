"""Where labels of cases come from: segmentations, classes.csv, or candidates.csv."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from nnunetv2_pcrl.datasets.candidates import CANDIDATES, read_candidates, scan_classes
from nnunetv2_pcrl.datasets.classes import CLASSES_FILE, ClassTable, find_classes, read_classes
from nnunetv2_pcrl.datasets.raw import DATASET_JSON, is_beside, read_json
from nnunetv2_pcrl.label_folds.class_folds import class_labels, patient_folds, stratified_order
from nnunetv2_pcrl.label_folds.presence import labels_by_case
from nnunetv2_pcrl.label_folds.splits import SPLITS_NAME, Split, make_splits
from nnunetv2_pcrl.label_folds.subsets import cover_first, draw_order


class LabelSource(ABC):
    """What label folds need to know of labels.

    Attributes:
        role: in the names of trainers that learn from them.
    """

    role: str

    @abstractmethod
    def make_splits(self) -> list[Split]:
        """The folds of a data set that has none yet."""

    @abstractmethod
    def labels(self, cases: Sequence[str]) -> Mapping[str, Set[str]]:
        """Names of the labels that occur in each case."""

    @abstractmethod
    def order(
        self, labels: Mapping[str, Set[str]], seed: int, fold: int, repeat: int
    ) -> tuple[list[str], int]:
        """A random order of cases, and how many of the first hold all labels, as `draw_order`."""


class Segmentations(LabelSource):
    """Label images, as nnU-Net has them."""

    role = "Finetune"

    def __init__(self, preprocessed: Path, num_threads: int):
        """Reads nothing yet.

        Args:
            preprocessed: folder of the data set in nnUNet_preprocessed.
            num_threads: label images that are read at a time.
        """
        self._preprocessed, self._num_threads = preprocessed, num_threads

    def make_splits(self) -> list[Split]:
        """nnU-Net's own."""
        return make_splits(self._preprocessed)

    def labels(self, cases: Sequence[str]) -> Mapping[str, Set[str]]:
        """From the label images."""
        return labels_by_case(self._preprocessed, cases, self._num_threads)

    def order(
        self, labels: Mapping[str, Set[str]], seed: int, fold: int, repeat: int
    ) -> tuple[list[str], int]:
        """Random but for the first cases."""
        return draw_order(labels, seed, fold, repeat)


class Classes(LabelSource):
    """A table of classes: patients stay together, every subset has about the classes' shares."""

    def __init__(self, table: ClassTable, role: str = "Classification"):
        """Takes the preprocessed cases of which a class is known, and who learns from them."""
        self._table, self.role = table, role

    def make_splits(self) -> list[Split]:
        """Folds grouped by patient."""
        return patient_folds(self._table)

    def labels(self, cases: Sequence[str]) -> Mapping[str, Set[str]]:
        """What is known of every class.

        Raises:
            ValueError: if nothing is known of a case.
        """
        unknown = sorted(set(cases) - set(self._table.identifiers))
        if unknown:
            raise ValueError(
                f"{len(unknown)} of {len(cases)} training cases have no known class in "
                f"{CLASSES_FILE}, {unknown[0]} among them. Fill in their classes, or take them out "
                f"of {SPLITS_NAME}; where that file is missing, folds of the others are made."
            )
        return class_labels(self._table.of(cases))

    def order(
        self, labels: Mapping[str, Set[str]], seed: int, fold: int, repeat: int
    ) -> tuple[list[str], int]:
        """Stratified, but for the first cases."""
        table = self._table.of(list(labels))
        return cover_first(stratified_order(table, seed, fold, repeat), labels)


def label_source(preprocessed: Path, by_classes: bool, num_threads: int) -> LabelSource:
    """The labels of a data set: classes where that is asked for, or where there is nothing else.

    Where there is no classes.csv, the nodules among the candidates of a scan are its only class.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        by_classes: whether classes are asked for although there may be segmentations.
        num_threads: label images that are read at a time.

    Raises:
        ValueError: if classes are asked for and there are none.
    """
    segmentations = Segmentations(preprocessed, num_threads)
    if not by_classes:
        values = read_json(preprocessed / DATASET_JSON).get("labels", {}).values()
        if any(value != 0 for value in values):
            return segmentations
    there = sorted({path.stem for path in preprocessed.glob("*/*.pkl")})
    has_candidates = is_beside(preprocessed, CANDIDATES)
    if has_candidates and not is_beside(preprocessed, CLASSES_FILE):
        return Classes(scan_classes(read_candidates(preprocessed), there), "Nodule")
    if not (by_classes or is_beside(preprocessed, CLASSES_FILE)):
        return segmentations
    table = read_classes(find_classes(preprocessed)).known()
    known = set(table.identifiers)
    return Classes(table.of([case for case in there if case in known]))
