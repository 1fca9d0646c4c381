"""LiTS 2017: volume-N.nii and segmentation-N.nii in any folders, test-volume-N.nii."""

import re
from pathlib import Path

from nnunetv2_pcrl.datasets.conversion import Benchmark, SourceCase
from nnunetv2_pcrl.datasets.layouts import scan_at
from nnunetv2_pcrl.datasets.raw import REORIENTING_READER

LABELS = {"background": 0, "liver": [1, 2], "tumor": [2]}
_NAME = re.compile(r"(test-volume|volume|segmentation)-(\d+)\.nii(?:\.gz)?")


def find_lits(source: Path) -> Benchmark:
    """Finds volumes and segmentations below a folder and pairs them by number.

    A scan may lie in a folder of its name. The volumes' axes point in different directions, which
    their headers say: nnU-Net's reorienting reader brings them to one. Segmentations whose header
    disagrees are handled by the conversion.
    """
    files: dict[tuple[str, int], Path] = {}
    odd = {}
    for path in sorted(source.rglob("*.nii*")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        scan = scan_at(path)
        if scan is None:
            odd[str(path)] = "a folder that does not hold just one scan"
            continue
        first = files.setdefault((match.group(1), int(match.group(2))), scan)
        if first != scan:
            odd[str(scan)] = f"the same as {first}"
    cases = []
    for (kind, number), path in files.items():
        label = files.get(("segmentation", number))
        if kind == "test-volume":
            cases.append(SourceCase(f"lits_test_{number:03d}", (path,), is_test=True))
        elif kind == "volume" and label is None:
            odd[str(path)] = f"there is no segmentation-{number}.nii"
        elif kind == "volume":
            cases.append(SourceCase(f"lits_{number:03d}", (path,), label))
        elif ("volume", number) not in files:
            odd[str(path)] = f"there is no volume-{number}.nii"
    cases.sort(key=lambda case: case.identifier)
    values = {0: 0, 1: 1, 2: 2}
    return Benchmark(
        "LiTS 2017", ("CT",), LABELS, cases, 131, 70, values, odd, reader=REORIENTING_READER
    )
