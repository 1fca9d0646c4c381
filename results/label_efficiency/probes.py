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
PLANS, CONFIGURATION = "nnUNetPlansFew", "2d"
CASES_TO_FIT, CASES_TO_SCORE = 80, 40
UNTRAINED, SEEDS = "untrained", (0, 1, 2)
COLUMNS = ("data set", "fold", "pretraining", "seed", "probe", "retrieval / chance")


class FoldProbe:
    """The probe on a fold: crops of its cases, drawn once per seed."""

    def __init__(self, name: str, fold: int):
        folder = Path(nnUNet_preprocessed) / name
        plans = PlansManager(str(folder / f"{PLANS}.json"))
        self._configuration: ConfigurationManager = plans.get_configuration(CONFIGURATION)
        self._facts = plan_facts(plans, self._configuration, 1)
        self._split = json.loads((folder / "splits_final.json").read_text(encoding="utf-8"))[fold]
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


def pretrainings(name: str, fold: int) -> Iterator[tuple[str, Path]]:
    """Finished ones of a fold: the method and the file."""
    pattern = f"*PretrainTrainer_*__{PLANS}__{CONFIGURATION}/fold_{fold}/checkpoint_final.pth"
    for path in sorted((Path(nnUNet_results) / name).glob(pattern)):
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


def measured(name: str, fold: int, done: set[tuple[str, str, str]]) -> Iterator[Sequence]:
    """Rows of what is not done."""
    encoders = [(UNTRAINED, None), *pretrainings(name, fold)]
    encoders = [(of, path) for of, path in encoders if (name, str(fold), of) not in done]
    if not encoders:
        return
    of_fold = FoldProbe(name, fold)
    for of, path in encoders:
        for seed in SEEDS:
            network = of_fold.network(seed)
            if path is not None:
                load_encoder(network, path)
            found = retrieval(path.parent) if path is not None else ""
            yield name, fold, of, seed, f"{of_fold.score(network, seed):.4f}", found


def main(target: Path = HERE) -> None:
    """Writes the file."""
    torch.set_num_threads(1)
    path = target / "probes.csv"
    rows = []
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
    done = {(row[0], row[1], row[2]) for row in rows}
    for name in NAMES:
        for fold in (0, 1):
            for row in measured(name, fold, done):
                print(*row, flush=True)
                rows.append([str(value) for value in row])
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *sorted(rows)])


if __name__ == "__main__":
    main()
