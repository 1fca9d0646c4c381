"""The core of all converters: checks the cases of a benchmark and writes a raw data set.

A benchmark's own module says which files make a case; everything else happens here.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import SimpleITK

from nnunetv2_pcrl.datasets.folds import SPLITS, write_folds
from nnunetv2_pcrl.datasets.headers import Header, differences, read_header
from nnunetv2_pcrl.datasets.intact import check_is_intact
from nnunetv2_pcrl.datasets.labels import read_label
from nnunetv2_pcrl.datasets.parallel import listed, run_cases
from nnunetv2_pcrl.datasets.placing import place, write_image
from nnunetv2_pcrl.datasets.raw import (
    DATASET_JSON,
    ITK_READER,
    MADE_BY,
    ManifestRow,
    check_may_write,
    read_notes,
    write_json,
    write_manifest,
    write_table,
)


@dataclass(frozen=True)
class SourceCase:
    """Published files of a case.

    Attributes:
        identifier: of the new case.
        images: one per channel.
        label: None if it has none.
        is_test: goes into imagesTs.
        remark: what is odd about it although it can be used.
    """

    identifier: str
    images: tuple[Path, ...]
    label: Path | None = None
    is_test: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Benchmark:
    """What was found of a published data set, and how it is described to nnU-Net.

    Attributes:
        title: e.g. BraTS 2020.
        channels: names in order.
        labels: for dataset.json; regions as lists.
        cases: that can be converted.
        label_values: value in nnU-Net for every value that occurs in the published labels.
        odd: files that cannot be used, with reasons.
        num_training, num_test: published counts; 0 where cases are not expected.
        size: of every published image, voxels (x, y[, z]); None if they differ.
        reader: name of nnU-Net's class that reads the images.
        tables: rows per file name, written beside dataset.json; the first row is the header and
            the first column the identifier.
        missing: what tables name and the download lacks, with reasons: no fault of a part of it.
        known: further files that belong to the benchmark, e.g. its tables.
        others: files that are no part of it, with reasons.
        folds: number of the fold in which a training case is validated, for splits_final.json.
    """

    title: str
    channels: Sequence[str]
    labels: Mapping[str, Any]
    cases: Sequence[SourceCase]
    num_training: int
    num_test: int
    label_values: Mapping[int, int] = field(default_factory=dict)
    odd: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, ...] | None = None
    reader: str = ITK_READER
    tables: Mapping[str, Sequence[Sequence[Any]]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    known: Collection[Path] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    folds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ConversionReport:
    """What a person should know after a conversion.

    Attributes:
        num_training, num_test: converted cases.
        odd: what is damaged or left out, with reasons.
        remarks: what was repaired, or is unusual, per case.
        missing: what a complete download has and this one lacks, with reasons.
        others: files that are no part of the benchmark, with reasons.
    """

    num_training: int
    num_test: int
    odd: dict[str, str]
    remarks: dict[str, str]
    missing: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


def convert(benchmark: Benchmark, folder: Path, link: bool, num_processes: int) -> ConversionReport:
    """Writes the raw data set; cases that were converted before are only checked.

    Args:
        benchmark: what was found.
        folder: of the raw data set.
        link: link files that need no change instead of copying them.
        num_processes: worker processes.

    Raises:
        ValueError: if no case was found or could be converted, or if the folder is somebody
            else's.
    """
    check_may_write(folder, benchmark.title, benchmark.labels)
    if not benchmark.cases:
        raise ValueError(f"No case of {benchmark.title} was found.{listed(benchmark.odd)}")
    benchmark = _without_doubles(benchmark)
    folder.mkdir(parents=True, exist_ok=True)
    ending = _most_common_ending(benchmark.cases)
    jobs = {
        case.identifier: (case, benchmark.label_values, benchmark.size, folder, ending, link)
        for case in benchmark.cases
    }
    failed, remarks = run_cases(convert_case, jobs, num_processes, benchmark.title)
    for identifier in failed:
        _remove(folder, identifier, len(benchmark.channels), ending)
    good = [case for case in benchmark.cases if case.identifier not in failed]
    if not good:
        raise ValueError(f"No case of {benchmark.title} could be converted.{listed(failed)}")
    num_test = sum(case.is_test for case in good)
    content = {
        MADE_BY: benchmark.title,
        "name": benchmark.title,
        "channel_names": {str(i): name for i, name in enumerate(benchmark.channels)},
        "labels": dict(benchmark.labels),
        "numTraining": len(good) - num_test,
        "file_ending": ending,
        "overwrite_image_reader_writer": benchmark.reader,
    }
    if any(isinstance(value, list) for value in benchmark.labels.values()):
        content["regions_class_order"] = [value[0] for value in _regions(benchmark.labels)]
    remarks = {name: text for name, text in (read_notes(folder) | remarks).items() if name in jobs}
    rows = [
        ManifestRow(case.identifier, str(case.images[0]), remarks.get(case.identifier, ""))
        for case in good
    ]
    odd = {**benchmark.odd, **failed}
    missing = {**benchmark.missing, **_wrong_counts(benchmark)}
    for texts in (odd, missing, benchmark.others):
        rows += [ManifestRow("", name, reason) for name, reason in texts.items()]
    write_manifest(folder, rows)
    for name, table in benchmark.tables.items():
        write_table(folder / name, (row for row in table if row[0] not in failed))
    training = {case.identifier for case in good if not case.is_test}
    folds = {name: fold for name, fold in benchmark.folds.items() if name in training}
    write_folds(folder / SPLITS, folds)
    write_json(folder / DATASET_JSON, content)
    shown = {name: text for name, text in remarks.items() if text and name not in failed}
    return ConversionReport(
        len(good) - num_test, num_test, odd, shown, missing, dict(benchmark.others)
    )


def convert_case(
    case: SourceCase,
    label_values: Mapping[int, int],
    size: tuple[int, ...] | None,
    folder: Path,
    ending: str,
    link: bool,
) -> str | None:
    """Checks a case and puts its files into the raw data set.

    Args:
        case: its published files.
        label_values: see `Benchmark`.
        size: that the images should have.
        folder: of the raw data set.
        ending: of all files of the data set.
        link: link files that need no change.

    Returns:
        What is odd about it, empty if nothing; None if its label was converted before.

    Raises:
        ValueError: if a file is missing, damaged or does not fit the others.
    """
    headers = [read_header(path) for path in case.images]
    remarks = [case.remark] if case.remark else []
    for path, header in zip(case.images[1:], headers[1:], strict=True):
        odd = differences(headers[0], header)
        if header.size != headers[0].size:
            raise ValueError(f"{case.images[0].name} and {path.name} differ in {'; '.join(odd)}")
        remarks += [f"{path.name} differs in {'; '.join(odd)}"] if odd else []
    if size is not None and headers[0].size != size:
        remarks.append(f"its size is {headers[0].size} and not {size}")
    label_is_new = True
    if case.label is not None:
        target = folder / "labelsTr" / f"{case.identifier}{ending}"
        label_is_new = not _is_newer(target, case.label)
        if label_is_new:
            remarks += _convert_label(case.label, headers[0], label_values, target, ending, link)
    images = folder / ("imagesTs" if case.is_test else "imagesTr")
    for channel, (path, header) in enumerate(zip(case.images, headers, strict=True)):
        target = images / f"{case.identifier}_{channel:04d}{ending}"
        if not target.exists():
            check_is_intact(path)
        if path.name.endswith(ending) and header.num_components == 1:
            place(path, target, link)
        elif not _is_newer(target, path):
            write_image(_grey(SimpleITK.ReadImage(str(path))), target)
        if header.num_components > 1:
            remarks.append(f"stored with {header.num_components} colour channels, made grey")
    return "; ".join(remarks) if label_is_new else None


def _convert_label(
    path: Path,
    image: Header,
    values: Mapping[int, int],
    target: Path,
    ending: str,
    link: bool,
) -> list[str]:
    """Writes or places a label; remarks on it."""
    header = read_header(path)
    label, remark = read_label(path, image, values)
    is_unchanged = not differences(image, header) and all(a == b for a, b in values.items())
    if is_unchanged and path.name.endswith(ending):
        place(path, target, link)
    else:
        write_image(label, target)
    return [remark] if remark else []


def _remove(folder: Path, identifier: str, num_channels: int, ending: str) -> None:
    """Removes what an earlier run, or the failed one, wrote of a case."""
    (folder / "labelsTr" / f"{identifier}{ending}").unlink(missing_ok=True)
    for part in ("imagesTr", "imagesTs"):
        for channel in range(num_channels):
            (folder / part / f"{identifier}_{channel:04d}{ending}").unlink(missing_ok=True)


def _grey(image: SimpleITK.Image) -> SimpleITK.Image:
    """One channel of a grey image that is stored in colours, its transparency dropped.

    Raises:
        ValueError: if the colours differ.
    """
    if image.GetNumberOfComponentsPerPixel() == 1:
        return image
    array = SimpleITK.GetArrayViewFromImage(image)
    colours = array[..., : 3 if array.shape[-1] >= 3 else 1]
    if (colours != colours[..., :1]).any():
        raise ValueError("it is a colour image")
    return SimpleITK.VectorIndexSelectionCast(image, 0)


def _is_newer(target: Path, source: Path) -> bool:
    return target.is_file() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns


def _without_doubles(benchmark: Benchmark) -> Benchmark:
    """Keeps the first of the cases of the same name; the others are odd."""
    cases: dict[str, SourceCase] = {}
    odd = dict(benchmark.odd)
    for case in benchmark.cases:
        first = cases.setdefault(case.identifier, case)
        if first is not case:
            odd[str(case.images[0])] = f"the same case as {first.images[0]}"
    return replace(benchmark, cases=list(cases.values()), odd=odd)


def _most_common_ending(cases: Sequence[SourceCase]) -> str:
    """File ending of most images, as a data set has only one."""
    names = [case.images[0].name for case in cases]
    endings = Counter(".nii.gz" if n.endswith(".nii.gz") else Path(n).suffix for n in names)
    return endings.most_common(1)[0][0]


def _regions(labels: Mapping[str, Any]) -> list[list[int]]:
    return [value for value in labels.values() if isinstance(value, list)]


def _wrong_counts(benchmark: Benchmark) -> dict[str, str]:
    """What is missing or too much in comparison with the published numbers."""
    found_test = sum(case.is_test for case in benchmark.cases)
    found_training = len(benchmark.cases) - found_test
    texts = {}
    for name, found, published in (
        ("training cases", found_training, benchmark.num_training),
        ("test cases", found_test, benchmark.num_test),
    ):
        # Test images are a download of their own, which not everybody needs.
        if found != published and not (name == "test cases" and found == 0):
            texts[name] = f"{found} were found, {benchmark.title} has {published}"
    return texts
