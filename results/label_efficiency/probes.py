"""What a probe says of every pretrained encoder before it is fine-tuned, and of untrained ones.

    python results/label_efficiency/probes.py

Writes probes.csv. nnU-Net's three folders are set. The probe is that of a pretraining, but of the
encoder's stages alone, which is what fine-tunings load, and on ten times as many cases. Retrieval
is that of the pretraining's last validation, over chance, where its method logs it. Encoders that
are in the file are left out.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_results
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from nnunetv2_pcrl.monitoring.charts import last_finite
from nnunetv2_pcrl.monitoring.probe import probe
from nnunetv2_pcrl.monitoring.probe_crops import LabelledCrop, draw_both
from nnunetv2_pcrl.networks.encoder import Encoder
from nnunetv2_pcrl.training.plan_facts import plan_facts
from nnunetv2_pcrl.weights.reading import read_weights

HERE = Path(__file__).resolve().parent
NAMES = (
    "Dataset004_Hippocampus",
    "Dataset101_LGGFlair2D",
    "Dataset103_ACDC",
    "Dataset105_CXRLung2D",
)
CASES_TO_FIT, CASES_TO_SCORE = 80, 40
UNTRAINED, SEEDS = "untrained", (0, 1, 2)
COLUMNS = ("data set", "stage", "pretraining", "seed", "probe", "retrieval / chance")


@dataclass(frozen=True)
class Pretrained:
    """What a stage has pretrained on a data set."""

    name: str
    stage: str
    fold: int
    plans: str = "nnUNetPlansFew"
    configuration: str = "2d"


STAGES = (
    *(Pretrained(name, "A", 0) for name in NAMES),
    *(Pretrained(name, "B", 1) for name in NAMES),
    *(Pretrained(name, "C", 1, "nnUNetPlansWhole") for name in (NAMES[1], NAMES[3])),
    Pretrained(NAMES[2], "C", 1, "nnUNetPlansWhole", "3d_fullres"),
)


class FoldProbe:
    """The probe on a fold: crops of its cases, drawn once per seed."""

    def __init__(self, of: Pretrained):
        folder = Path(nnUNet_preprocessed) / of.name
        plans = PlansManager(str(folder / f"{of.plans}.json"))
        self._configuration: ConfigurationManager = plans.get_configuration(of.configuration)
        self._facts = plan_facts(plans, self._configuration, 1)
        splits = json.loads((folder / "splits_final.json").read_text(encoding="utf-8"))
        self._split = splits[of.fold]
        self._data = folder / self._configuration.data_identifier
        labels = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"]
        self._classes = {value: index for index, value in enumerate(sorted(labels.values()))}
        self._crops: dict[int, tuple[list[LabelledCrop], list[LabelledCrop]]] = {}

    def network(self, seed: int) -> nn.Module:
        """The planned network as a seed initialises it."""
        torch.manual_seed(seed)
        return get_network_from_plans(
            self._configuration.network_arch_class_name,
            self._configuration.network_arch_init_kwargs,
            self._configuration.network_arch_init_kwargs_req_import,
            1,
            len(self._classes),
        )

    def score(self, network: nn.Module, seed: int) -> float:
        """Of a planned network's encoder, with the crops of a seed."""
        fitting, scoring = self._crops_of(seed)
        encoder = Encoder(network).eval()
        classes, device = len(self._classes), torch.device("cpu")
        return probe(encoder, fitting, scoring, classes, device, nullcontext).mean

    def _crops_of(self, seed: int) -> tuple[list[LabelledCrop], list[LabelledCrop]]:
        if seed not in self._crops:
            self._crops[seed] = draw_both(
                self._data,
                self._split["train"],
                self._split["val"],
                self._classes,
                self._configuration.patch_size,
                self._facts.total_stride,
                seed,
                (CASES_TO_FIT, CASES_TO_SCORE),
            )
        return self._crops[seed]


def pretrainings(of: Pretrained) -> Iterator[tuple[str, Path]]:
    """Finished ones: the method and the file."""
    folder = f"*PretrainTrainer_*__{of.plans}__{of.configuration}/fold_{of.fold}"
    for path in sorted((Path(nnUNet_results) / of.name).glob(f"{folder}/checkpoint_final.pth")):
        trainer = path.parents[1].name.split("__")[0]
        yield trainer.replace("PretrainTrainer", ""), path.with_name("pretrained_weights.pth")


def load_encoder(network: nn.Module, path: Path) -> None:
    """Loads a portable file's encoder into the network of its plan."""
    weights = read_weights(path)["network_weights"]
    part = "encoder."
    encoder = {n.removeprefix(part): v for n, v in weights.items() if n.startswith(part)}
    network.encoder.load_state_dict(encoder)


def retrieval(folder: Path) -> str:
    """How often a view finds its image at the best level, over chance; empty where not logged."""
    record = json.loads((folder / "monitoring.json").read_text(encoding="utf-8"))
    lasts = [
        last_finite(values)
        for name, values in record["logged"].items()
        if name.startswith("val_retrieval")
    ]
    found = [value for value in lasts if value is not None]
    return f"{max(found) * record['settings']['batch_size']:.2f}" if found else ""


def measured(of: Pretrained, done: set[tuple[str, str, str]]) -> Iterator[Sequence]:
    """Rows of what is not done."""
    encoders = [(UNTRAINED, None), *pretrainings(of)]
    encoders = [(n, path) for n, path in encoders if (of.name, of.stage, n) not in done]
    if not encoders:
        return
    of_fold = FoldProbe(of)
    for encoder, path in encoders:
        for seed in SEEDS:
            network = of_fold.network(seed)
            if path is not None:
                load_encoder(network, path)
            found = retrieval(path.parent) if path is not None else ""
            score = f"{of_fold.score(network, seed):.4f}"
            yield of.name, of.stage, encoder, seed, score, found


def main(target: Path = HERE) -> None:
    """Writes the file."""
    torch.set_num_threads(1)
    path = target / "probes.csv"
    rows = []
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
    done = {(row[0], row[1], row[2]) for row in rows}
    for of in STAGES:
        for row in measured(of, done):
            print(*row, flush=True)
            rows.append([str(value) for value in row])
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *sorted(rows)])


if __name__ == "__main__":
    main()
