"""The kinds of validation that can be compared, and which of them a data set's runs are."""

import json
from pathlib import Path

from nnunetv2_pcrl.evaluation.classification_reader import ClassificationReader
from nnunetv2_pcrl.evaluation.reader import SummaryReader
from nnunetv2_pcrl.evaluation.segmentation_reader import SegmentationReader

READERS: tuple[type[SummaryReader], ...] = (SegmentationReader, ClassificationReader)


def reader_of(summary: Path) -> type[SummaryReader]:
    """The reader of a kind of summary.

    Raises:
        ValueError: if the file is damaged, or of no kind that is known.
    """
    try:
        content = json.loads(summary.read_text(encoding="utf-8"))
        found = next((reader for reader in READERS if reader.reads(content)), None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{summary} is {_REMEDY} ({type(error).__name__}: {error}).") from error
    if found is None:
        raise ValueError(f"{summary} is {_REMEDY} (it holds {', '.join(content) or 'nothing'}).")
    return found


_REMEDY = (
    "no summary of a validation. Make it again: nnUNetv2_train with the same arguments and --val"
)
