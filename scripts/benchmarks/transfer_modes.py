"""Fine-tuning with few labels: what to load, and how to start, against training from scratch.

    python scripts/benchmarks/transfer_modes.py --weights PRETRAINED --data PREPROCESSED
        [--plans nnUNetPlans] [--configuration 3d_fullres] [--labelled 5 20] [--seeds 0 1 2]
        [--iterations 400] [--patch 48 40] [--batch 8] [--num_val 20] [--output RESULTS.json]

PREPROCESSED is a data set's folder in nnUNet_preprocessed with splits_final.json. Every arm has the
same iterations, cases, patches and initialisation for a seed; only what the arm names differs.
Loss and optimiser are nnU-Net's; the only augmentation is mirroring, and a validation case is
predicted in one pass. The Dice is the mean over labels and over the first validation cases of the
fold. Intervals are 95 % t-intervals over the seeds; differences are paired by seed. Results are
added to those that the output file already holds.
"""

import argparse
import json
import math
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import blosc2
import numpy as np
import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import Tensor, nn
from torch.nn import functional

from nnunetv2_pcrl.tasks.segmentation.finetune_schedule import (
    FinetuneLRScheduler,
    FinetuneSchedule,
    parameter_groups,
)
from nnunetv2_pcrl.tasks.segmentation.settings import FinetuneSettings
from nnunetv2_pcrl.weights.sources import read_source
from nnunetv2_pcrl.weights.transfer import transfer_weights

# Iterations that count as one epoch of the schedule.
EPOCH = 4
INITIAL_LR = 0.01
# Two-sided 95 % quantiles of Student's t by degrees of freedom.
T_QUANTILE = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


@dataclass(frozen=True)
class Arm:
    """One way to start: settings of fine-tuning, or None for training from scratch."""

    settings: FinetuneSettings | None
    initial_lr: float = INITIAL_LR


def arms(num_epochs: int) -> dict[str, Arm]:
    """The compared ways to start a training of so many epochs, by name."""
    encoder = FinetuneSettings(transfer="encoder")
    tenth = max(1, num_epochs // 10)
    return {
        "scratch": Arm(None),
        "encoder": Arm(encoder),
        "decoder, He skip": Arm(FinetuneSettings(transfer="encoder_decoder")),
        "decoder, zero skip": Arm(FinetuneSettings(transfer="encoder_decoder_zero_skip")),
        "encoder, warm-up": Arm(replace(encoder, warmup_new_epochs=tenth, warmup_epochs=tenth)),
        "encoder, lr / 3": Arm(encoder, INITIAL_LR / 3),
        "scratch, lr / 3": Arm(None, INITIAL_LR / 3),
    }


class Cases:
    """Preprocessed cases in memory: images [C, D, H, W] and labels [1, D, H, W]."""

    def __init__(self, folder: Path, identifiers: list[str]):
        self.images, self.labels = [], []
        for identifier in identifiers:
            for ending, values in (("", self.images), ("_seg", self.labels)):
                array = blosc2.open(str(folder / f"{identifier}{ending}.b2nd"), mode="r")[:]
                values.append(torch.from_numpy(np.asarray(array, dtype=np.float32)))

    def draw_batch(
        self, patch_size: list[int], batch_size: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Random patches (of slices for 2D), mirrored at random, every second one on a label."""
        patches = []
        for number in range(batch_size):
            case = int(torch.randint(len(self.images), (), generator=generator))
            image, label = self.images[case], self.labels[case].clamp(min=0)
            centre = [int(torch.rand((), generator=generator) * size) for size in image.shape[1:]]
            voxels = torch.nonzero(label[0])
            if number % 2 and len(voxels):
                centre = voxels[int(torch.randint(len(voxels), (), generator=generator))].tolist()
            if len(patch_size) == 2:
                image, label = image[:, centre[0]], label[:, centre[0]]
                centre = centre[1:]
            window, padding = [slice(None)], []
            for size, wanted, middle in zip(image.shape[1:], patch_size, centre, strict=True):
                start = min(max(middle - wanted // 2, 0), max(size - wanted, 0))
                window.append(slice(start, start + wanted))
                padding = [0, max(wanted - size, 0), *padding]
            chance = torch.rand(len(patch_size), generator=generator)
            axes = [axis + 1 for axis, value in enumerate(chance) if value < 0.5]
            patches.append(
                [functional.pad(v[tuple(window)], padding).flip(axes) for v in (image, label)]
            )
        images, labels = zip(*patches, strict=True)
        return torch.stack(images), torch.stack(labels)


def build_loss(num_levels: int, batch_dice: bool) -> nn.Module:
    """nnU-Net's loss: Dice and cross entropy on every level of deep supervision."""
    loss = DC_and_CE_loss(
        {"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": False, "ddp": False},
        {},
        weight_ce=1,
        weight_dice=1,
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    weights = np.array([1 / 2**i for i in range(num_levels)])
    weights[-1] = 0
    return DeepSupervisionWrapper(loss, weights / weights.sum())


def train(network: nn.Module, arm: Arm, cases: Cases, patch_size, args, seed: int) -> None:
    """Trains the network in place."""
    num_epochs = math.ceil(args.iterations / EPOCH)
    schedule = FinetuneSchedule(arm.settings or FinetuneSettings(), arm.initial_lr, num_epochs)
    optimizer = torch.optim.SGD(
        parameter_groups(network), arm.initial_lr, momentum=0.99, nesterov=True, weight_decay=3e-5
    )
    scheduler = FinetuneLRScheduler(optimizer, schedule)
    generator = torch.Generator().manual_seed(seed)
    loss_function = None
    network.train()
    for iteration in range(args.iterations):
        scheduler.step(iteration // EPOCH)
        images, labels = cases.draw_batch(patch_size, args.batch, generator)
        outputs = network(images)
        loss_function = loss_function or build_loss(len(outputs), args.batch_dice)
        targets = [
            functional.interpolate(labels, size=output.shape[2:], mode="nearest-exact")
            for output in outputs
        ]
        optimizer.zero_grad(set_to_none=True)
        loss_function(outputs, targets).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()


@torch.no_grad()
def mean_dice(network: nn.Module, cases: Cases, divisor: list[int], num_classes: int) -> float:
    """Dice over the foreground labels, mean over labels and cases."""
    network.eval()
    values = []
    for image, label in zip(cases.images, cases.labels, strict=True):
        # A 2D network takes the slices as a batch.
        batch = image[None] if len(divisor) == 3 else image.movedim(1, 0)
        shape, padding = batch.shape[2:], []
        for size, step in zip(shape, divisor, strict=True):
            padding = [0, -size % step, *padding]
        output = network(functional.pad(batch, padding))[0].argmax(1)
        prediction = output[(slice(None), *(slice(size) for size in shape))].view(label[0].shape)
        for number in range(1, num_classes):
            mask, target = prediction == number, label[0] == number
            total = int(mask.sum() + target.sum())
            if total:
                values.append(2 * int((mask & target).sum()) / total)
    return statistics.mean(values)


def interval(values: list[float]) -> str:
    """Mean and half width of the 95 % t-interval."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = T_QUANTILE[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.3f} +- {half:.3f}"


def print_table(results: dict, labelled: list[int]) -> None:
    """One row per arm: Dice, and the paired difference to training from scratch."""
    for number in labelled:
        print(f"\n{number} labelled cases: Dice (mean +- 95 % interval), difference to scratch")
        by_arm = results.get(str(number), {})
        for name, by_seed in by_arm.items():
            both = [seed for seed in by_seed if seed in by_arm["scratch"]]
            differences = [by_seed[seed] - by_arm["scratch"][seed] for seed in both]
            values = list(by_seed.values())
            print(f"  {name:<22}{interval(values):>18}{interval(differences):>20}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plans", default="nnUNetPlans")
    parser.add_argument("--configuration", default="3d_fullres")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--labelled", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--patch", type=int, nargs="+")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--num_val", type=int, default=20)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()

    plans = PlansManager(str(args.data / f"{args.plans}.json"))
    configuration = plans.get_configuration(args.configuration)
    dataset = json.loads((args.data / "dataset.json").read_text(encoding="utf-8"))
    split = json.loads((args.data / "splits_final.json").read_text(encoding="utf-8"))[args.fold]
    args.batch_dice = configuration.batch_dice
    folder = args.data / configuration.data_identifier
    patch_size = args.patch or configuration.patch_size
    divisor = np.prod(configuration.network_arch_init_kwargs["strides"], axis=0).tolist()
    num_classes, num_channels = len(dataset["labels"]), len(dataset["channel_names"])
    weights = read_source(args.weights).weights
    validation = Cases(folder, split["val"][: args.num_val])

    begin, results = time.time(), {}
    if args.output and args.output.is_file():
        results = json.loads(args.output.read_text(encoding="utf-8"))
    ways = arms(math.ceil(args.iterations / EPOCH))
    for seed in args.seeds:
        for number in args.labelled:
            order = torch.randperm(
                len(split["train"]), generator=torch.Generator().manual_seed(seed)
            )
            chosen = [split["train"][i] for i in order[:number].tolist()]
            cases = Cases(folder, chosen)
            for name, arm in ways.items():
                torch.manual_seed(seed)
                network = nnUNetTrainer.build_network_architecture(
                    plans, configuration, num_channels, num_classes, enable_deep_supervision=True
                )
                if arm.settings is not None:
                    transfer_weights(weights, network, arm.settings.transfer)
                train(network, arm, cases, patch_size, args, seed)
                dice = mean_dice(network, validation, divisor, num_classes)
                results.setdefault(str(number), {}).setdefault(name, {})[str(seed)] = dice
                minutes = (time.time() - begin) / 60
                print(
                    f"[{minutes:.1f} min] {number} cases, seed {seed}, {name}: {dice:.3f}",
                    flush=True,
                )
                if args.output:
                    args.output.write_text(json.dumps(results, indent=2))
    print_table(results, args.labelled)


if __name__ == "__main__":
    main()
