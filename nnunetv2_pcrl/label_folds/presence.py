"""Which labels occur in which case.

They are read from gt_segmentations: it is the same for all configurations, and what validation
compares with. The preprocessed cases' class_locations would be faster to read, but they depend on
plans and configuration, and resampling can lose a small structure.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from tqdm import tqdm

from nnunetv2_pcrl.datasets.parallel import listed
from nnunetv2_pcrl.datasets.raw import DATASET_JSON, read_json

LABELS_FOLDER = "gt_segmentations"


def labelled_cases(preprocessed: Path) -> list[str]:
    """Cases with a label file, sorted as nnU-Net does.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.

    Raises:
        ValueError: if there are none.
    """
    folder = preprocessed / LABELS_FOLDER
    ending = read_json(preprocessed / DATASET_JSON)["file_ending"]
    cases = sorted(path.name[: -len(ending)] for path in folder.glob(f"*{ending}"))
    if not cases:
        raise ValueError(
            f"There are no labels in {folder}. Run nnUNetv2_plan_and_preprocess for this data set "
            f"first."
        )
    return cases


def values_of_labels(dataset_json: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    """Values in label images by the name of a label or region.

    Background and the ignore label, which are not learnt, are left out. A region occurs where any
    of its values does.

    Raises:
        ValueError: if there is nothing but background.
    """
    values = {
        name: frozenset(int(value) for value in np.ravel(entry))
        for name, entry in dataset_json["labels"].items()
        if name != "ignore"
    }
    foreground = {name: found for name, found in values.items() if found != {0}}
    if not foreground:
        raise ValueError(
            f"{DATASET_JSON} names no labels but the background: there is nothing to segment with "
            f"fewer labels."
        )
    return foreground


def labels_by_case(
    preprocessed: Path, cases: Sequence[str], num_threads: int
) -> dict[str, frozenset[str]]:
    """Names of the labels and regions that occur in each case.

    Args:
        preprocessed: folder of the data set in nnUNet_preprocessed.
        cases: identifiers.
        num_threads: label images that are read at a time.

    Raises:
        ValueError: if labels are missing or cannot be read, naming them.
    """
    content = read_json(preprocessed / DATASET_JSON)
    by_name = values_of_labels(content)
    folder = preprocessed / LABELS_FOLDER
    paths = [folder / f"{case}{content['file_ending']}" for case in cases]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(paths)} training cases have no label in {folder}, for example "
            f"{missing[0]}. Folds of labelled cases need the label of each."
        )
    reader = determine_reader_writer_from_dataset_json(content, str(paths[0]), verbose=False)()
    failed: dict[str, str] = {}

    def occurring(path: Path) -> frozenset[str]:
        try:
            values = set(np.unique(reader.read_seg(str(path))[0]).astype(int).tolist())
        except Exception as error:
            # What readers raise on a damaged file is of almost any type.
            failed[path.name] = " ".join(str(error).split())
            return frozenset()
        return frozenset(name for name, wanted in by_name.items() if wanted & values)

    with ThreadPoolExecutor(num_threads) as pool:
        found = list(tqdm(pool.map(occurring, paths), total=len(paths), desc="Reading labels"))
    if failed:
        raise ValueError(f"Labels in {folder} cannot be read:{listed(failed)}")
    return dict(zip(cases, found, strict=True))
