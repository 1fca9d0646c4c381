"""Which modality of DICOM series becomes a data set: what a person says, or what most are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# What channels are called, by modality; radiographs count as one.
_CHANNEL_NAMES = {
    "CT": ("ct",),
    "MR": ("mr", "mri", "t1", "t1ce", "t1c", "t2", "flair", "dwi", "adc", "pd", "t1w", "t2w"),
    "PT": ("pt", "pet"),
    "NM": ("nm", "spect"),
    "US": ("us", "ultrasound"),
    "MG": ("mg", "mammography", "mammogram"),
    "DX": ("dx", "cr", "xray", "x-ray", "radiograph"),
}
_RADIOGRAPHS = ("CR", "DX", "RG", "PX", "IO")
# Mostly pictures of a screen.
_OTHER = "OT"


@dataclass(frozen=True)
class ModalityChoice:
    """Which modalities are taken.

    Attributes:
        families: modalities; empty takes all.
        is_decided: a person named them, or a channel does.
        remark: what a person should know, empty if there is nothing to choose.
    """

    families: frozenset[str] = frozenset()
    is_decided: bool = True
    remark: str = ""

    def why_not(self, modality: str) -> str:
        """Why a series is left out, empty if it is taken; one that says nothing goes along."""
        if not self.families or _family(modality) in {*self.families, ""}:
            return ""
        return f"its modality is {modality}, and {_listed(self.families)} is taken (--modality)"


def choose_modality(
    modalities: Sequence[str], wanted: Sequence[str], channels: Sequence[str]
) -> ModalityChoice:
    """Chooses one modality, so that none are mixed unasked.

    Args:
        modalities: of the series.
        wanted: named by a person.
        channels: names, of which one may name a modality; none if patterns tell them apart.
    """
    counts = Counter(_family(modality) for modality in modalities)
    counts.pop("", None)
    if wanted:
        return ModalityChoice(frozenset(_family(modality.upper()) for modality in wanted))
    if not channels or len(counts) < 2:
        return ModalityChoice()
    named = frozenset(
        family
        for family, names in _CHANNEL_NAMES.items()
        if family in counts and any(channel.lower() in names for channel in channels)
    )
    most = max(counts, key=lambda family: (family != _OTHER, counts[family]))
    families = named or frozenset([most])
    listed = ", ".join(f"{count} {family}" for family, count in counts.most_common())
    remark = (
        f"The series are of several modalities ({listed}), and {_listed(families)} is taken: "
        f"choose by --modality."
    )
    return ModalityChoice(families, bool(named), remark)


def _family(modality: str) -> str:
    return "DX" if modality in _RADIOGRAPHS else modality


def _listed(families: frozenset[str]) -> str:
    return " and ".join(sorted(families))
