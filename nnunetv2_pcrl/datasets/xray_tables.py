"""classes.csv and metadata.csv of chest films: findings, apart from all else that is known."""

from collections import Counter
from collections.abc import Mapping, Sequence

# classes.csv is what a classification reads; everything that is no class is in metadata.csv.
CLASSES, METADATA, BOXES = "classes.csv", "metadata.csv", "boxes.csv"
IDENTIFIER, PATIENT = "identifier", "patient"


def header_of_classes(findings: Sequence[str]) -> tuple[str, ...]:
    """The first row of classes.csv."""
    return (IDENTIFIER, PATIENT, *findings)


def header_of_metadata(columns: Sequence[str]) -> tuple[str, ...]:
    """The first row of metadata.csv."""
    return (IDENTIFIER, PATIENT, *columns)


def some_of(names: Sequence[str], most: int = 3) -> str:
    """A few names for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def rarest_findings(findings: Mapping[str, Sequence[int | str]]) -> dict[str, int]:
    """The rarest finding that is present in an image, as a stratum for folds.

    Args:
        findings: by image, one value per finding; 1 is present, in any spelling.

    Returns:
        Number of the finding by image; the number of findings where none is present.
    """
    present = {
        name: [place for place, value in enumerate(row) if str(value) in ("1", "1.0")]
        for name, row in findings.items()
    }
    counts = Counter(place for places in present.values() for place in places)
    none = max((len(row) for row in findings.values()), default=0)
    return {
        name: min(places, key=lambda place: (counts[place], place)) if places else none
        for name, places in present.items()
    }
