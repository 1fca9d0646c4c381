"""Draws predictions beside the reference: the slice with most foreground, one row per case.

python scripts/plot_predictions.py IMAGES REFERENCE OUTPUT.png NAME=PREDICTIONS [NAME=...]
"""

import argparse
from pathlib import Path

import numpy as np
import SimpleITK
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

COLORS = ("#e41a1c", "#ffd92f", "#4daf4a", "#377eb8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder in nnU-Net's raw format")
    parser.add_argument("reference", type=Path, help="folder of reference segmentations")
    parser.add_argument("output", type=Path, help="PNG to write")
    parser.add_argument("predictions", nargs="+", help="NAME=FOLDER")
    parser.add_argument("--max_cases", type=int, default=4)
    args = parser.parse_args()
    columns = {"reference": args.reference}
    columns |= {name: Path(folder) for name, folder in (p.split("=", 1) for p in args.predictions)}
    files = sorted(args.reference.glob("*.nii.gz"))[: args.max_cases]
    draw(args.images, files, columns, args.output)
    print(args.output)


def draw(images: Path, files: list[Path], columns: dict[str, Path], output: Path) -> None:
    """Draws all channels of a case and then its segmentations.

    Args:
        images: folder of images named CASE_0000.nii.gz, ...
        files: reference segmentations, whose names are those of the cases.
        columns: title to folder of segmentations.
        output: PNG to write.
    """
    names = [file.name.removesuffix(".nii.gz") for file in files]
    num_channels = len(list(images.glob(f"{names[0]}_????.nii.gz")))
    num_columns = num_channels + len(columns)
    figure = Figure(figsize=(2.6 * num_columns, 2.8 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), num_columns, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        reference = _read(columns["reference"] / f"{name}.nii.gz")
        middle = int(np.argmax((reference > 0).sum(axis=(1, 2))))
        slices = [_read(images / f"{name}_{c:04d}.nii.gz")[middle] for c in range(num_channels)]
        for ax, channel, number in zip(row, slices, range(num_channels), strict=False):
            _show_image(ax, channel)
            ax.set_title(f"{name}, channel {number}" if ax is row[0] else f"channel {number}")
        for ax, (title, folder) in zip(row[num_channels:], columns.items(), strict=True):
            _show_image(ax, slices[0])
            _show_labels(ax, _read(folder / f"{name}.nii.gz")[middle])
            ax.set_title(title)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.savefig(output, dpi=80)


def _read(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def _show_image(ax: Axes, image: np.ndarray) -> None:
    # Half of a medical image is background, and bone would make everything else grey.
    low, high = np.percentile(image, (40, 98))
    ax.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))


def _show_labels(ax: Axes, labels: np.ndarray) -> None:
    for label, color in enumerate(COLORS, start=1):
        inside = np.ma.masked_where(labels != label, np.ones(labels.shape))
        ax.imshow(inside, cmap=ListedColormap([color]), alpha=0.55, interpolation="nearest")


if __name__ == "__main__":
    main()
