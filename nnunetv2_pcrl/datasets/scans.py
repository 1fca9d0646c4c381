"""Which DICOM series belong to the same scan: localisers and reconstructions of it."""

from collections.abc import Sequence

import numpy as np

from nnunetv2_pcrl.datasets.dicom_series import Series, source_name

# A single plane of these is no image of its own beside volumes.
_VOLUMES = ("CT", "MR", "PT", "NM")
# Two series show the same region if they share so much of the shorter one.
_SHARED = 0.5


def without_localisers(series: Sequence[Series]) -> tuple[list[Series], dict[str, str]]:
    """Leaves out single planes of modalities of which there are volumes too, with reasons."""
    with_volumes = {s.first.modality for s in series if len(s.frames) > 1} & set(_VOLUMES)
    kept, localisers = [], {}
    for s in series:
        if len(s.frames) == 1 and s.first.modality in with_volumes:
            what = "a localiser" if _is_localiser(s) else "a localiser or the rest of a series"
            localisers[source_name(s.headers)] = (
                f"it is a single slice of {s.first.modality}: {what}"
            )
        else:
            kept.append(s)
    return kept, localisers


def _is_localiser(series: Series) -> bool:
    return "LOCALIZER" in series.first.stack_value("ImageType").upper()


def without_reconstructions(
    series: Sequence[Series],
) -> tuple[list[Series], list[tuple[Series, str]]]:
    """Keeps one series per scan: the one with most slices, the first among equals.

    Series are of one scan if they are of the same acquisition of a patient, as far as the files
    say it, and show the same region. Of MR the sequences must have the same name as well.

    Returns:
        What is kept in the order of the series, and the others with reasons.
    """
    scans: dict[tuple, list[Series]] = {}
    for s in series:
        scans.setdefault(_scan(s), []).append(s)
    others: dict[int, str] = {}
    for key, members in scans.items():
        if not key[1]:
            # Without the number of a study nothing is known of how series belong together.
            continue
        kept: list[Series] = []
        for s in sorted(members, key=lambda member: -len(member.frames)):
            same = next((other for other in kept if _show_the_same(s, other)), None)
            if same is None:
                kept.append(s)
            else:
                others[id(s)] = f"another reconstruction of {same.title}"
    return (
        [s for s in series if id(s) not in others],
        [(s, others[id(s)]) for s in series if id(s) in others],
    )


def _scan(series: Series) -> tuple:
    first = series.first
    name = (first.description, first.stack_value("EchoTime")) if first.modality == "MR" else ()
    return (
        first.patient,
        first.study_uid if len(series.frames) > 1 else "",
        first.modality,
        first.frame_of_reference,
        first.stack_value("AcquisitionNumber"),
        min(header.stack_value("AcquisitionTime") for header in series.headers),
        *name,
    )


def _show_the_same(series: Series, other: Series) -> bool:
    normals = [np.array(s.geometry.direction).reshape(3, 3)[:, 2] for s in (series, other)]
    if abs(normals[0] @ normals[1]) < 0.99:
        return False
    (low, high), (other_low, other_high) = (_extent(s, normals[0]) for s in (series, other))
    shared = min(high, other_high) - max(low, other_low)
    return shared >= _SHARED * min(high - low, other_high - other_low)


def _extent(series: Series, normal: np.ndarray) -> tuple[float, float]:
    """Where the first and the last plane lie along a direction, mm."""
    ends = [float(np.array(series.frames[i].position) @ normal) for i in (0, -1)]
    return min(ends), max(ends)
