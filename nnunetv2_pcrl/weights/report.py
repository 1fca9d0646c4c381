"""What happened to every tensor of the target network, as data, table and text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

OUTCOMES = ("loaded", "adapted", "left")
NOT_WANTED = "not part of"
SEGMENTATION_LAYER = "segmentation layer"
CONVOLUTION_LEFT = "its convolution was left"


@dataclass(frozen=True)
class Entry:
    """One tensor of the network.

    Attributes:
        name: in the network.
        outcome: loaded whole, adapted or left as initialised.
        reason: how it was adapted or why it was left; empty if loaded.
        shape: in the network.
        file_shape: in the file; None if the file has nothing in its place.
        num_taken: how many of its values come from the file.
    """

    name: str
    outcome: str
    reason: str
    shape: tuple[int, ...]
    file_shape: tuple[int, ...] | None
    num_taken: int

    @property
    def num_values(self) -> int:
        """Values of the tensor."""
        product = 1
        for size in self.shape:
            product *= size
        return product

    @property
    def is_misfit(self) -> bool:
        """Whether it was wanted and could not be loaded, for a reason of its own."""
        return self.outcome == "left" and not self.reason.startswith(
            (NOT_WANTED, SEGMENTATION_LAYER, CONVOLUTION_LEFT)
        )

    def with_shapes(self) -> str:
        """Name and both shapes, as text."""
        file_shape = "nothing" if self.file_shape is None else self.file_shape
        return f"{self.name}: file {file_shape}, network {self.shape}"


@dataclass
class TransferReport:
    """What happened to every tensor of the target network.

    Attributes:
        entries: one per parameter and buffer of the network.
        unused: tensors of the file whose place the network does not have, with their shapes.
    """

    entries: list[Entry] = field(default_factory=list)
    unused: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def loaded(self) -> list[str]:
        """Names of tensors that were loaded whole."""
        return [e.name for e in self.entries if e.outcome == "loaded"]

    @property
    def adapted(self) -> dict[str, str]:
        """Names of tensors that were loaded in part or in another shape, with how."""
        return {e.name: e.reason for e in self.entries if e.outcome == "adapted"}

    @property
    def left(self) -> dict[str, str]:
        """Names of tensors that stay as initialised, with why."""
        return {e.name: e.reason for e in self.entries if e.outcome == "left"}

    def encoder_share(self) -> float:
        """Share of the encoder's values that come from the file, in [0, 1]."""
        encoder = [e for e in self.entries if e.name.startswith("encoder.")]
        return sum(e.num_taken for e in encoder) / max(1, sum(e.num_values for e in encoder))

    def groups(self) -> dict[str, dict[str, list[int]]]:
        """Per group of layers: [tensors, values] that were loaded, adapted and left.

        Values of an adapted tensor that do not come from the file count as left.
        """
        table: dict[str, dict[str, list[int]]] = {}
        for entry in self.entries:
            row = table.setdefault(group_of(entry.name), {name: [0, 0] for name in OUTCOMES})
            row[entry.outcome][0] += 1
            row[entry.outcome][1] += entry.num_taken
            row["left"][1] += entry.num_values - entry.num_taken
        return table

    def summary(self) -> str:
        """One line with the share of values that come from the file."""
        total = sum(e.num_values for e in self.entries)
        taken = sum(e.num_taken for e in self.entries)
        return (
            f"{len(self.loaded)} tensors loaded, {len(self.adapted)} adapted, {len(self.left)} "
            f"left as initialised; {taken:,} of {total:,} parameters ({100 * taken / total:.1f} %) "
            f"come from the file, {100 * self.encoder_share():.1f} % of the encoder's"
        )

    def lines(self) -> list[str]:
        """The report as text: a table per group, reasons, what did not fit, and the summary."""
        lines = [f"{'group':<20}{'loaded':>18}{'adapted':>18}{'as initialised':>18}"]
        for group, row in self.groups().items():
            cells = "".join(f"{f'{t} ({v:,})':>18}" for t, v in row.values())
            lines.append(f"{group:<20}{cells}")
        for outcome in ("adapted", "left"):
            reasons: dict[str, list[str]] = {}
            for entry in self.entries:
                if entry.outcome == outcome and not entry.is_misfit:
                    reasons.setdefault(entry.reason, []).append(entry.name)
            for reason, names in reasons.items():
                lines.append(f"{outcome}: {len(names)} tensors: {reason} ({_first(names, 4)})")
        for entry in self.entries:
            if entry.is_misfit:
                lines.append(f"left: {entry.with_shapes()}: {entry.reason}")
        if self.unused:
            lines.append(f"in the file only: {len(self.unused)} tensors ({_first(self.unused, 4)})")
        return [*lines, self.summary()]

    def misfits(self) -> str:
        """What could not be loaded, in a sentence with the first shapes per reason."""
        reasons: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.is_misfit:
                reasons.setdefault(entry.reason, []).append(entry)
        return "; ".join(
            f"{len(entries)} tensors: {reason} "
            f"({'; '.join(e.with_shapes() for e in entries[:2])}{'; ...' if entries[2:] else ''})"
            for reason, entries in reasons.items()
        )

    def as_plain(self) -> dict[str, Any]:
        """The report for a JSON file, with every tensor that was left and both shapes."""
        return {
            "summary": self.summary(),
            "encoder_share": self.encoder_share(),
            "groups": self.groups(),
            "loaded": self.loaded,
            "adapted": self.adapted,
            "left": {
                e.name: {"reason": e.reason, "file_shape": e.file_shape, "network_shape": e.shape}
                for e in self.entries
                if e.outcome == "left"
            },
            "in_the_file_only": self.unused,
        }


def group_of(name: str) -> str:
    """The group of layers that a tensor belongs to."""
    for pattern, group in (
        (r"encoder\.stem\.", "encoder stem"),
        (r"encoder\.stages\.(\d+)\.", "encoder stage {}"),
        (r"decoder\.(?:transpconvs|stages)\.(\d+)\.", "decoder level {}"),
        (r"decoder\.seg_layers\.", "segmentation heads"),
    ):
        match = re.match(pattern, name)
        if match:
            return group.format(*match.groups())
    return "other"


def _first(names: Iterable[str], count: int) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
