"""What every pretraining on ACDC learned: losses and probes at the start and the end, as CSV.

python results/methods/table.py RESULTS_OF_THE_DATA_SET
"""

import csv
import math
import re
import sys
from pathlib import Path

from nnunetv2_pcrl.monitoring.record import RECORD_NAME, read_record

COLUMNS = (
    "method",
    "seed",
    "epochs",
    "probe_before",
    "probe_after",
    "term",
    "first_epoch",
    "last_epoch",
    "minutes",
)


def rows_of(record: dict, method: str, seed: str) -> list[dict]:
    """One row for every term of the loss, by its value in the validation."""
    logged = record["logged"]
    ends, starts = logged["epoch_end_timestamps"], logged["epoch_start_timestamps"]
    probe = [value for value in logged["probe_dice"] if math.isfinite(value)]
    terms = [series["name"] for series in record["shown"]["series"] if series["is_term"]]
    about = {
        "method": method,
        "seed": seed,
        "epochs": len(ends),
        "probe_before": f"{record['probe']['before_training']:.3f}",
        "probe_after": f"{probe[-1]:.3f}",
        "minutes": f"{sum(b - a for a, b in zip(starts, ends, strict=True)) / 60:.1f}",
    }
    return [
        {
            **about,
            "term": term,
            "first_epoch": f"{logged[f'val_{term}'][0]:.4f}",
            "last_epoch": f"{logged[f'val_{term}'][-1]:.4f}",
        }
        for term in ("losses", *terms)
        if f"val_{term}" in logged
    ]


def main() -> None:
    """Command line."""
    rows = []
    for path in sorted(Path(sys.argv[1]).glob(f"*PretrainTrainer_seed*/fold_0/{RECORD_NAME}")):
        match = re.match(r"(\w+)PretrainTrainer_seed(\d+)", path.parents[1].name)
        record = read_record(path.parent)
        if len(record["logged"]["epoch_end_timestamps"]) == record["num_epochs"]:
            rows += rows_of(record, match[1], match[2])
    with open(Path(__file__).with_name("pretraining.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
