"""Looks through a folder tree: which images there are, and why other files are none."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePath

from tqdm import tqdm

from nnunetv2_pcrl.datasets.dicom_headers import DicomHeader, read_dicom_header
from nnunetv2_pcrl.datasets.dicom_series import Series, group_series, source_name
from nnunetv2_pcrl.datasets.headers import Header, read_header, reason_of
from nnunetv2_pcrl.datasets.image_files import ending_of, find_files, hint_on, is_photograph
from nnunetv2_pcrl.datasets.label_like import MAX_VALUES, has_label_name, has_label_values
from nnunetv2_pcrl.datasets.modalities import choose_modality
from nnunetv2_pcrl.datasets.photographs import has_label_values as drawing_has_label_values
from nnunetv2_pcrl.datasets.photographs import is_grey, read_photograph, read_photograph_header
from nnunetv2_pcrl.datasets.raw import ITK_READER, MANIFEST, NATURAL_READER
from nnunetv2_pcrl.datasets.scans import without_localisers, without_reconstructions


@dataclass(frozen=True)
class Wanted:
    """Which images a person wants.

    Attributes:
        include: patterns of paths below the folder or of series descriptions; none means all.
        exclude: patterns of what is left out.
        modalities: of DICOM series; none means the one that the channels name, or the most common.
        keep_masks: take what looks like a segmentation.
        one_per_scan: of several reconstructions of a scan take the one with most slices.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    keep_masks: bool = False
    one_per_scan: bool = False


@dataclass(frozen=True)
class Source:
    """An image: a file or a DICOM series.

    Attributes:
        path: the file, or the first one of the series.
        relative: the same below the folder that is searched.
        header: geometry and components.
        reader: nnU-Net's class that reads it, or what is made of it.
        series: of a DICOM image.
        is_grey: a photograph has no colours, though it may be stored as if.
    """

    path: Path
    relative: PurePath
    header: Header
    reader: str
    series: Series | None = None
    is_grey: bool = True

    @property
    def name(self) -> str:
        """For lists; no two images have the same."""
        return str(self.path) if self.series is None else source_name(self.series.headers)

    @property
    def place(self) -> str:
        """Where it comes from, for the manifest: a file, or the folder of a series."""
        return str(self.path if self.series is None else self.path.parent)

    @property
    def title(self) -> str:
        """What a series is; empty for a file, whose name says it."""
        return "" if self.series is None else self.series.title

    @property
    def short_name(self) -> str:
        """Description of a series, or name of a file."""
        return (self.series.first.description if self.series else "") or self.relative.name

    @property
    def texts(self) -> tuple[str, ...]:
        """What patterns are compared with."""
        texts = (self.relative.as_posix(), self.relative.name)
        return texts if self.series is None else (*texts, self.series.first.description)


@dataclass
class Survey:
    """What was found.

    Attributes:
        sources: images in the order of their paths.
        failed: why files that should be images cannot be used.
        left_out: why images, or objects beside images, are not taken.
        remarks: what a person should know, a sentence each.
    """

    sources: list[Source] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def matches(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether one of the texts has the form of one of the patterns, in capitals or not."""
    return any(fnmatch(text.lower(), pattern.lower()) for pattern in patterns for text in texts)


def survey_folder(
    images: Path, skipped: Path, wanted: Wanted, channels: Sequence[str], any_modality: bool
) -> Survey:
    """Reads the headers of all files below a folder, each once.

    Args:
        images: the folder.
        skipped: what lies below it and is not searched.
        wanted: which images are taken.
        channels: names, of which one may name a modality.
        any_modality: modalities are told apart later, by the patterns of channels.
    """
    files, failed = find_files(images, skipped)
    found = Survey(failed=failed)
    headers = []
    for path in tqdm(files, desc="Headers", disable=None):
        relative = path.relative_to(images)
        texts = (relative.as_posix(), relative.name)
        if matches(wanted.exclude, texts):
            if ending_of(path):
                found.left_out[str(path)] = "left out by --exclude"
            continue
        try:
            if ending_of(path):
                if wanted.include and not matches(wanted.include, texts):
                    found.left_out[str(path)] = "not named by --include"
                    continue
                _survey_file(path, relative, wanted, found)
            elif path.name != MANIFEST:
                header = read_dicom_header(path)
                if header is not None:
                    headers.append(header)
                elif hint := hint_on(path):
                    found.left_out[str(path)] = hint
        except (ValueError, RuntimeError, OSError, MemoryError) as error:
            found.failed[str(path)] = _reason(error)
    _survey_series(headers, images, wanted, found, () if any_modality else channels)
    found.sources.sort(key=lambda source: source.relative.parts)
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"
    return reason_of(error)


def _survey_file(path: Path, relative: PurePath, wanted: Wanted, found: Survey) -> None:
    if not wanted.keep_masks and has_label_name(relative):
        found.left_out[str(path)] = "named like a segmentation (--keep_masks takes it)"
        return
    if is_photograph(path):
        header = read_photograph_header(path)
        few = not wanted.keep_masks and drawing_has_label_values(path, header)
        grey = header.num_components <= 2 or few or is_grey(read_photograph(path))
        source = Source(path, relative, header, NATURAL_READER, is_grey=grey)
    else:
        header = read_header(path)
        few = not wanted.keep_masks and has_label_values(path)
        source = Source(path, relative, header, ITK_READER)
    if few:
        found.left_out[str(path)] = (
            f"looks like a segmentation: integers, {MAX_VALUES} different ones at most "
            f"(--keep_masks takes it)"
        )
        return
    found.sources.append(source)


def _survey_series(
    headers: Sequence[DicomHeader],
    images: Path,
    wanted: Wanted,
    found: Survey,
    channels: Sequence[str],
) -> None:
    series, failed, others = group_series(headers)
    found.failed |= failed
    found.left_out |= others
    sources = [
        Source(s.first.path, s.first.path.relative_to(images), s.geometry, ITK_READER, s)
        for s in series
    ]
    reasons = {source.name: _why_not_asked_for(source, wanted) for source in sources}
    found.left_out |= {name: reason for name, reason in reasons.items() if reason}
    sources = [source for source in sources if not reasons[source.name]]
    sources = _of_one_modality(sources, wanted, found, channels)
    asked_for = [source.series for source in sources if source.series is not None]
    taken = _without_repetitions(asked_for, wanted, found)
    kept = {id(s) for s in taken}
    found.sources += [source for source in sources if id(source.series) in kept]


def _why_not_asked_for(source: Source, wanted: Wanted) -> str:
    if matches(wanted.exclude, source.texts):
        return "left out by --exclude"
    if wanted.include and not matches(wanted.include, source.texts):
        return "not named by --include"
    if not wanted.keep_masks and has_label_name(source.relative.parent / "slice"):
        return "named like a segmentation (--keep_masks takes it)"
    return ""


def _of_one_modality(
    sources: Sequence[Source], wanted: Wanted, found: Survey, channels: Sequence[str]
) -> list[Source]:
    modalities = {source.name: source.series.first.modality for source in sources if source.series}
    choice = choose_modality(list(modalities.values()), wanted.modalities, channels)
    if choice.remark:
        found.remarks.append(choice.remark)
    reasons = {name: choice.why_not(modality) for name, modality in modalities.items()}
    # What nobody decided makes the command fail, so that it is seen.
    others = found.left_out if choice.is_decided else found.failed
    others.update({name: reason for name, reason in reasons.items() if reason})
    return [source for source in sources if not reasons[source.name]]


def _without_repetitions(series: Sequence[Series], wanted: Wanted, found: Survey) -> list[Series]:
    """Without localisers and, if that is wanted, without further reconstructions of a scan."""
    taken, localisers = without_localisers(series)
    found.failed |= localisers
    once, reconstructions = without_reconstructions(taken)
    if wanted.one_per_scan:
        found.left_out |= {source_name(s.headers): reason for s, reason in reconstructions}
        return once
    if reconstructions:
        found.remarks.append(
            f"{len(reconstructions)} images are further reconstructions of a scan that is there; "
            f"--one_per_scan takes one of each."
        )
    return taken
