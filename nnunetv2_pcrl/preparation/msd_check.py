"""Checks a converted task of the Medical Segmentation Decathlon, and repairs headers of labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2_pcrl.datasets.conversion import ConversionReport
from nnunetv2_pcrl.datasets.headers import differences, read_header
from nnunetv2_pcrl.datasets.labels import read_label
from nnunetv2_pcrl.datasets.layouts import files_below
from nnunetv2_pcrl.datasets.parallel import run_cases
from nnunetv2_pcrl.datasets.placing import write_image
from nnunetv2_pcrl.datasets.raw import DATASET_JSON, ManifestRow, read_json, write_manifest
from nnunetv2_pcrl.preparation.msd_task import ENDING, PARTS, images_of


def check_task(
    source: Path, folder: Path, published: Mapping[str, Any], num_processes: int
) -> ConversionReport:
    """Counts, geometry and label values of the converted task.

    Args:
        source: the task's folder.
        folder: the raw data set, whose manifest is written.
        published: the task's own description.
        num_processes: worker processes.
    """
    content = read_json(folder / DATASET_JSON)
    values = {int(value): int(value) for value in content["labels"].values()}
    num_channels = len(content["channel_names"])
    training = sorted(p.name.removesuffix(ENDING) for p in (folder / "labelsTr").glob(f"*{ENDING}"))
    jobs = {name: (folder, name, num_channels, values) for name in training}
    odd, remarks = run_cases(check_case, jobs, num_processes, published["name"])
    tests = [
        p.name.removesuffix(f"_0000{ENDING}")
        for p in sorted((folder / "imagesTs").glob(f"*_0000{ENDING}"))
    ]
    missing = {
        kind: f"{len(found)} were found, {DATASET_JSON} says {published[key]}"
        for kind, found, key in (
            ("training cases", training, "numTraining"),
            ("test cases", tests, "numTest"),
        )
        if len(found) != published[key]
    }
    used = {source / DATASET_JSON, *(p for part in PARTS for p in images_of(source / part))}
    others = {str(p): "no part of the task" for p in files_below(source) if p not in used}
    rows = [
        ManifestRow(name, str(source / part / f"{name}{ENDING}"), remarks.get(name, ""))
        for part, names in (("imagesTr", training), ("imagesTs", tests))
        for name in names
    ]
    for texts in (odd, missing, others):
        rows += [ManifestRow("", name, reason) for name, reason in texts.items()]
    write_manifest(folder, rows)
    return ConversionReport(len(training), len(tests), odd, remarks, missing, others)


def check_case(folder: Path, name: str, num_channels: int, values: dict[int, int]) -> str | None:
    """Compares a label with its images, and repairs its header.

    Returns:
        A remark on what was repaired.

    Raises:
        ValueError: if they do not fit.
    """
    files = [folder / "imagesTr" / f"{name}_{c:04d}{ENDING}" for c in range(num_channels)]
    header = read_header(files[0])
    for file in files[1:]:
        odd = differences(header, read_header(file))
        if odd:
            raise ValueError(f"{files[0].name} and {file.name} differ in {'; '.join(odd)}")
    label = folder / "labelsTr" / f"{name}{ENDING}"
    if read_header(label).size != header.size:
        raise ValueError(f"image and label differ in {differences(header, read_header(label))[0]}")
    repaired, remark = read_label(label, header, values)
    if remark:
        write_image(repaired, label)
    return remark or None
