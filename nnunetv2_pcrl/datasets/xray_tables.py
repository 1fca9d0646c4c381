"""classes.csv and metadata.csv of chest films: findings, apart from all else that is known."""

from collections.abc import Sequence

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
