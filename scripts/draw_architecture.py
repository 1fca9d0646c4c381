"""Draws docs/architecture.svg, the README's picture of PCRLv2 pretraining; needs no data."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Polyline
from scipy import ndimage

TARGET = Path(__file__).resolve().parents[1] / "docs" / "architecture.svg"
SETTINGS = {"svg.hashsalt": "nnunetv2_pcrl", "svg.fonttype": "path"}
SETTINGS |= {"font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans"}
WIDTH, HEIGHT = 1000, 518  # one unit is one point; y points down
SMALL, NORMAL, LARGE = 9.6, 10.6, 12.5
INK, GREY, LINE, PALE = "#1f2937", "#5b6472", "#9aa3af", "#f3f5f8"
PIXELS, SEMANTICS, SCALE = "#2563eb", "#c2570c", "#07835f"
TINTS = {PIXELS: "#e6eefd", SEMANTICS: "#fdeee0", SCALE: "#def4ea", GREY: PALE}
FEATURES = LinearSegmentedColormap.from_list("features", ["#1e293b", "#64748b", "#f1f5f9"])

GLOBAL_BOXES = {"v0": (52, 90, 136), "v1": (88, 130, 144)}  # x, y, size in the 280 x 340 slice
LOCAL_BOXES = [(60, 98, 42), (122, 104, 40), (190, 146, 38)]
LOCAL_BOXES += [(62, 184, 36), (112, 198, 50), (178, 222, 46)]
VIEW_SIZE, LOCAL_SIZE, SWAP_SIZE = 96, 40, 12

VIEWS_Y = {"v0": 100, "v1": 194, "locals": 290}  # top of each row of views
LEVELS_Y = (305, 235, 165, 95)  # middle of each level's row, level 0 first
MAP_SIZES = (16, 23, 30, 37)
U_X, MAPS_X, HEADS_X, HEADS_END, LOSS_X, STRIP_Y = 431, 529, 566, 718, 754, 426


def synthetic_slice(seed: int = 7) -> np.ndarray:
    """Smooth body-like picture, shape [340, 280], values in [0, 1]."""
    rng = np.random.default_rng(seed)

    def noise(sigma: float) -> np.ndarray:
        field = ndimage.gaussian_filter(rng.standard_normal((340, 280)), sigma)
        return field / field.std()

    y, x = np.mgrid[:340, :280] + 3 * np.stack([noise(20), noise(20)])

    def organ(cx, cy, rx, ry, tilt=0.0) -> np.ndarray:
        distance = np.hypot((x - cx + tilt * (y - cy)) / rx, (y - cy) / ry)
        return 1 / (1 + np.exp((distance - 1) * min(rx, ry) / 2.5))

    image = 0.42 * np.maximum(organ(140, 200, 124, 190), organ(140, 30, 44, 70))
    # fmt: off
    organs = [  # value, centre x and y, radius x and y, tilt
        (0.50, 140, 196, 112, 176, 0), (0.12, 84, 130, 42, 92, 0.1), (0.12, 200, 130, 40, 90, -0.1),
        (0.70, 158, 172, 44, 48, 0.25), (0.64, 94, 252, 68, 46, 0.3), (0.58, 204, 250, 34, 36, 0),
        (0.28, 206, 252, 16, 18, 0), (0.74, 104, 312, 24, 34, 0.2), (0.74, 184, 314, 22, 32, -0.2),
    ]
    # fmt: on
    for value, *shape in organs + [(0.86, 140, y, 12, 10, 0) for y in range(24, 340, 26)]:
        image += organ(*shape) * (value - image)
    vessels = np.exp(-((noise(5) / 0.22) ** 2)) * ((image > 0.08) & (image < 0.25))
    image += 0.16 * ndimage.gaussian_filter(vessels, 1.0)
    image *= 1 + 0.05 * noise(3)
    return np.round(np.clip(image, 0, 1) ** 0.8 * 80) / 80  # few grey levels keep the file small


def view_of(image: np.ndarray, box: tuple[int, int, int], size: int) -> np.ndarray:
    """The square box (x, y, size) of the image, resized to [size, size]."""
    x, y, extent = box
    steps = np.linspace(0, extent - 1, size)
    return ndimage.map_coordinates(image, np.meshgrid(y + steps, x + steps, indexing="ij"), order=1)


def corrupted(view: np.ndarray, num_swaps: int, rng: np.random.Generator) -> np.ndarray:
    """Copy of a view with swapped patches, blur, noise and another gamma."""
    out = view.copy()
    for _ in range(num_swaps):
        corners = rng.integers(0, len(view) // SWAP_SIZE, (2, 2)) * SWAP_SIZE
        a, b = (tuple(slice(i, i + SWAP_SIZE) for i in corner) for corner in corners)
        out[a], out[b] = out[b].copy(), out[a].copy()
    out = ndimage.gaussian_filter(out, 0.8) + 0.06 * rng.standard_normal(view.shape)
    return np.round(np.clip(out, 0, 1) ** 0.85 * 40) / 40


def picture(ax: Axes, array: np.ndarray, x, y, width, *, edge=INK, cmap="gray") -> None:
    """An array with its upper left corner at (x, y)."""
    height = width * array.shape[0] / array.shape[1]
    extent = (x, x + width, y + height, y)
    ax.imshow(array, cmap=cmap, vmin=0, vmax=1, extent=extent, interpolation="none", zorder=2)
    frame(ax, x, y, width, height, color=edge, lw=0.9)


def frame(ax: Axes, x, y, width, height, *, color, lw, style="-") -> None:
    """Unfilled rectangle with its upper left corner at (x, y)."""
    patch = Rectangle((x, y), width, height, fill=False, ec=color, lw=lw, ls=style, zorder=3)
    ax.add_patch(patch)


def panel(ax: Axes, x, y, width, height, *, fill=PALE, edge="none", radius=4.0, lw=1.0) -> None:
    """Rounded rectangle with its upper left corner at (x, y)."""
    style = f"round,pad=0,rounding_size={radius}"
    ax.add_patch(FancyBboxPatch((x, y), width, height, style, fc=fill, ec=edge, lw=lw, zorder=1))


def write(ax: Axes, x, y, text: str, *, size=NORMAL, color=INK, ha="left", **kwargs) -> None:
    """One or more lines of text whose vertical centre is at y."""
    kwargs = {"va": "center", "linespacing": 1.35, "zorder": 6} | kwargs
    ax.text(x, y, text, fontsize=size, color=color, ha=ha, **kwargs)


def chip(ax: Axes, x, y, width, text: str, color=GREY, *, drawn=True) -> None:
    """Small labelled box; a strong edge where this step has drawn it."""
    edge, lw = (color, 1.6) if drawn else (LINE, 0.8)
    panel(ax, x, y, width, 21, fill=TINTS[color], edge=edge, lw=lw)
    write(ax, x + width / 2, y + 10.5, text, size=SMALL, color=color, ha="center")


def arrow(ax: Axes, *points: tuple[float, float], color=GREY, lw=1.3, head="-|>") -> None:
    """Line through the points with an arrow head at the last one."""
    style = {"arrowstyle": head, "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
    style |= {"joinstyle": "round", "capstyle": "butt", "zorder": 4}
    ax.add_patch(FancyArrowPatch(path=Polyline(points), color=color, lw=lw, **style))


def heading(ax: Axes, x, number: int, text: str, y=24) -> None:
    """Numbered heading of a part of the figure."""
    disc = {"boxstyle": "circle,pad=0.22", "fc": INK, "ec": "none"}
    style = {"va": "baseline", "weight": "bold"}
    write(ax, x + 7, y + 3.8, str(number), color="white", ha="center", bbox=disc, **style)
    write(ax, x + 21, y + 4.5, text, size=LARGE, **style)


def draw_image(ax: Axes, image: np.ndarray) -> None:
    """Part 1: the slice with the boxes of all views."""
    heading(ax, 18, 1, "Image")
    x0, y0, zoom = 18, VIEWS_Y["v0"], 0.5
    picture(ax, image, x0, y0, zoom * image.shape[1])
    for x, y, size in LOCAL_BOXES:
        side = zoom * size
        frame(ax, x0 + zoom * x, y0 + zoom * y, side, side, color="#5eead4", lw=1.3)
    for name, (x, y, size) in GLOBAL_BOXES.items():
        left, top, side = x0 + zoom * x, y0 + zoom * y, zoom * size
        style = "-" if name == "v0" else (0, (4, 2))
        frame(ax, left, top, side, side, color="white", lw=1.8, style=style)
        at = (left + 8, top - 8) if name == "v0" else (left + side - 8, top + side + 8)
        write(ax, *at, name, color="white", weight="bold", ha="center")
    text = "two overlapping\nglobal views v0, v1\nand six local views"
    write(ax, x0, y0 + 180, text, va="top")
    write(ax, x0, y0 + 242, "no labels used", color=GREY)


def draw_views(ax: Axes, views: dict[str, np.ndarray]) -> None:
    """Part 2: the views before and after corruption, on their way into the network."""
    heading(ax, 184, 2, "Views")
    rng = np.random.default_rng(3)
    clean_x, input_x, entry_x = 184, 276, 354
    names = {"v0": "v0", "v1": "v1", "locals": "$l_1$ … $l_6$"}
    inputs = {"v0": "$T$(v0)", "v1": "$T$(v1)", "locals": "$T$($l_1$ … $l_6$)"}
    for row, y in VIEWS_Y.items():
        middle = y + (22 if row == "locals" else 33)
        write(ax, clean_x, y - 10, names[row], size=LARGE)
        write(ax, input_x, y - 10, inputs[row], size=LARGE)
        arrow(ax, (clean_x + 69, middle), (input_x - 3, middle))
        write(ax, (clean_x + 66 + input_x) / 2, middle - 10, "$T$", ha="center")
        arrow(ax, (input_x + 68, middle), (entry_x, middle), (entry_x, LEVELS_Y[3]), head="-")
        shown = [f"l{n}" for n in range(1, 7)] if row == "locals" else [row]
        for n, name in enumerate(shown):
            side, edge, num_swaps = (20, SCALE, 0) if row == "locals" else (66, INK, 16)
            dx, dy = 23 * (n % 3), 23 * (n // 3)
            picture(ax, views[name], clean_x + dx, y + dy, side, edge=edge)
            noisy = corrupted(views[name], num_swaps, rng)
            picture(ax, noisy, input_x + dx, y + dy, side, edge=edge)
    text = "$T$: corruption, input only\n(global views: patch swaps)"
    write(ax, clean_x, 364, text, color=GREY)
    arrow(ax, (161, 227), (180, 227))
    arrow(ax, (entry_x, LEVELS_Y[3]), (366, LEVELS_Y[3]))


def draw_u(ax: Axes, x, y, *, unit: float, step: float, skips: bool) -> list[tuple[float, float]]:
    """U-Net of four stages and a bottleneck; returns the right end of each level, 0 first."""
    left, right, radius = x - 17 * unit, x + 17 * unit, 0.7 * unit
    head = "-" if skips else "-|>"
    rows = [y + step * row for row in range(5)]
    halves = [(12 - 2.2 * row) * unit for row in range(4)]
    tops = [middle - (1.8 + 0.45 * row) * unit for row, middle in enumerate(rows)]
    bottoms = [2 * middle - top for middle, top in zip(rows, tops, strict=True)]
    for row, half in enumerate(halves):
        for at, fill in ((left, "#64748b"), (right, "#334155")):
            size = 2 * half, bottoms[row] - tops[row]
            panel(ax, at - half, tops[row], *size, fill=fill, radius=radius)
        if row < 3:
            arrow(ax, (left, bottoms[row]), (left, tops[row + 1]), head=head)
            arrow(ax, (right, tops[row + 1]), (right, bottoms[row]), head=head)
        if skips:
            arrow(ax, (left + half, rows[row]), (right - half, rows[row]), lw=1.1, head=head)
    start, stop, bottom = x - 8 * unit, x + 8 * unit, rows[4]
    panel(ax, start, tops[4], stop - start, bottoms[4] - tops[4], fill=INK, radius=radius)
    arrow(ax, (left, bottoms[3]), (left, bottom), (start, bottom), head=head)
    arrow(ax, (stop, bottom), (right, bottom), (right, bottoms[3]), head=head)
    return [(right + half, middle) for half, middle in zip(halves, rows, strict=False)][::-1]


def draw_network(ax: Axes) -> None:
    """Part 3: the non-skip U-Net; its decoder levels lead to the pyramid."""
    heading(ax, 368, 3, "Non-skip U-Net")
    for level, end in enumerate(draw_u(ax, U_X, LEVELS_Y[3], unit=2.2, step=70, skips=False)):
        arrow(ax, end, (MAPS_X - MAP_SIZES[level] / 2 - 1, end[1]))
    write(ax, U_X - 37, 78, "encoder", ha="center")
    write(ax, U_X + 37, 78, "decoder", ha="center")
    write(ax, U_X, 357, "bottleneck", size=SMALL, ha="center")
    write(ax, U_X, 200, "no skip\nconnections", size=SMALL, color=GREY, ha="center")
    text = "encoder and transposed convolutions\nare the planned nnU-Net modules"
    write(ax, U_X, 401, text, size=SMALL, color=GREY, ha="center")


def draw_pyramid(ax: Axes, view: np.ndarray) -> None:
    """Part 4: one feature map per level and its heads; an example of drawn levels."""
    heading(ax, 520, 4, "Feature pyramid and heads")
    names = "level 0, lowest resolution", "level 1", "level 2", "level $K-1$, full resolution"
    draws = ("$= b_n$", SCALE), ("$= a_n$", SCALE), ("$= k$", SEMANTICS), ("", GREY)
    for level, (y, size, name) in enumerate(zip(LEVELS_Y, MAP_SIZES, names, strict=True)):
        smooth = ndimage.gaussian_filter(view, 10 / 2**level)
        coarse = ndimage.zoom(smooth, 3 * 2**level / VIEW_SIZE)
        blocks = np.kron((coarse - coarse.min()) / np.ptp(coarse), np.ones((8, 8)))
        picture(ax, blocks, MAPS_X - size / 2, y - size / 2, size, cmap=FEATURES)
        for end in (y - 12, y + 12):
            arrow(ax, (MAPS_X + size / 2, y), (556, y), (556, end), (HEADS_X, end))
        text, color = draws[level]
        write(ax, HEADS_X, y - 31, name, size=SMALL)
        write(ax, HEADS_END, y - 31, text, size=LARGE, color=color, ha="right")
        chip(ax, HEADS_X, y - 22.5, 152, "restoration", PIXELS, drawn=level >= 2)
        chip(ax, HEADS_X, y + 1.5, 68, "projection z", color, drawn=level < 3)
        chip(ax, HEADS_X + 82, y + 1.5, 70, "prediction p", color, drawn=level < 3)
        arrow(ax, (HEADS_X + 68, y + 12), (HEADS_X + 82, y + 12))
    write(ax, HEADS_END, 357, "levels $k$, $a_n$, $b_n$: drawn at", size=LARGE, ha="right")
    write(ax, HEADS_END, 374, "random, anew in every step", size=LARGE, ha="right")


def loss_card(ax: Axes, y, height, color, name: str, formula: str) -> None:
    """Card of one of the three losses."""
    panel(ax, LOSS_X, y, 230, height, fill=TINTS[color], edge=color, lw=1.3)
    write(ax, LOSS_X + 10, y + 15, name, size=LARGE, color=color, weight="bold")
    write(ax, LOSS_X + 220, y + 15, formula, size=LARGE, color=color, ha="right")


def draw_pixels(ax: Axes, view: np.ndarray) -> None:
    """Restoration at full resolution and at the drawn level."""
    loss_card(ax, 56, 106, PIXELS, "pixels", r"$R_{full}+\beta\,R_k$")
    left, right = LOSS_X + 12, LOSS_X + 98
    restored = np.round(ndimage.gaussian_filter(view, 1.6) * 80) / 80
    for array, x, name in ((restored, left, "restoration"), (view, right, "restoration target")):
        picture(ax, array, x, 84, 48, edge=PIXELS)
        write(ax, x + 24, 148, name, size=SMALL, ha="center", va="baseline")
    arrow(ax, (left + 51, 108), (right - 3, 108), color=PIXELS, head="<|-|>")
    write(ax, left + 67, 98, "MSE", size=SMALL, color=PIXELS, ha="center")
    text = "v0 only;\nlevel $k$ is\nupsampled;\n$\\beta$: 1 to 0"
    write(ax, right + 57, 107, text, size=SMALL)
    arrow(ax, (217, 96), (217, 46), (right + 24, 46), (right + 24, 83), color=PIXELS)
    hole = {"fc": "white", "ec": "none", "pad": 2}
    write(ax, 278, 46, "restoration target: v0 before corruption", color=PIXELS, bbox=hole)
    for y in (LEVELS_Y[3] - 12, LEVELS_Y[2] - 12):
        arrow(ax, (HEADS_END, y), (LOSS_X, y), color=PIXELS, lw=1.6)


def draw_semantics(ax: Axes) -> None:
    """Comparison of the global views at the drawn level, with the stop-gradient."""
    top, x = 170, LOSS_X + 12
    loss_card(ax, top, 96, SEMANTICS, "semantics", "$S_k$(v0, v1)")
    for y, first, second in ((top + 33, "v0", "v1"), (top + 62, "v1", "v0")):
        chip(ax, x, y, 46, f"p({first})", SEMANTICS)
        chip(ax, x + 98, y, 46, f"z({second})", SEMANTICS)
        arrow(ax, (x + 46, y + 10.5), (x + 98, y + 10.5), color=SEMANTICS, head="-")
        for bar in (x + 81, x + 86):
            arrow(ax, (bar, y + 4), (bar, y + 17), color=INK, head="-", lw=1.8)
    write(ax, x + 155, top + 58, "negative\ncosine;\n‖ is stop-\ngradient", size=SMALL)
    y = LEVELS_Y[2] + 12
    arrow(ax, (HEADS_END, y), (LOSS_X, y), color=SEMANTICS, lw=1.6)


def draw_scale(ax: Axes, views: dict[str, np.ndarray]) -> None:
    """Comparison of a local view with both global views, each at its own drawn level."""
    top, middle = 274, 326
    loss_card(ax, top, 112, SCALE, "scale", "$S$ at $a_n$ and at $b_n$")
    names = {"v0": "v0", "l5": "$l_n$", "v1": "v1"}
    for (view, name), x, size in zip(names.items(), (34, 115, 196), (40, 28, 40), strict=True):
        picture(ax, views[view], LOSS_X + x - size / 2, middle - size / 2, size, edge=SCALE)
        write(ax, LOSS_X + x, top + 81, name, size=LARGE, ha="center")
    for x, text in ((78, "$a_n$"), (152, "$b_n$")):
        ends = (LOSS_X + x - 21, middle), (LOSS_X + x + 21, middle)
        arrow(ax, *ends, color=SCALE, head="<|-|>")
        write(ax, LOSS_X + x, middle - 10, text, size=LARGE, color=SCALE, ha="center")
    write(ax, LOSS_X + 115, top + 100, "mean of all global–local pairs", size=SMALL, ha="center")
    for start, end in ((LEVELS_Y[1] + 12, 292), (LEVELS_Y[0] + 12, LEVELS_Y[0] + 12)):
        points = (HEADS_END, start), (736, start), (736, end), (LOSS_X, end)
        arrow(ax, *points, color=SCALE, lw=1.6)


def draw_sum(ax: Axes) -> None:
    """The three losses added up, in their colours."""
    panel(ax, 18, STRIP_Y, 322, 80)
    write(ax, 30, STRIP_Y + 15, "Loss of a step", weight="bold")
    write(ax, 30, STRIP_Y + 37, r"$R_{full}+\beta\,R_k$", size=LARGE, color=PIXELS)
    write(ax, 98, STRIP_Y + 37, r"$+\;S_k$(v0, v1)", size=LARGE, color=SEMANTICS)
    text = r"$+\;\frac{1}{2N}\;\Sigma_n$ [ $S$(v0, $l_n$) at $a_n$ + $S$(v1, $l_n$) at $b_n$ ]"
    write(ax, 30, STRIP_Y + 61, text, size=LARGE, color=SCALE)


def draw_weights(ax: Axes, view: np.ndarray) -> None:
    """Part 6: the weights go into the planned skip U-Net."""
    middle = STRIP_Y + 41
    panel(ax, 350, STRIP_Y, 634, 80)
    heading(ax, 520, 6, "Fine-tuning", y=STRIP_Y + 15)
    arrow(ax, (U_X, 417), (U_X, middle - 15), color=INK, lw=1.8)
    panel(ax, U_X - 68, middle - 15, 136, 30, fill="white", edge=INK, lw=1.3)
    write(ax, U_X, middle, "pretrained_weights.pth", size=SMALL, ha="center")
    trainers = "PCRLv2FinetuneTrainer", "stock nnUNetTrainer -pretrained_weights"
    for y, text in zip((middle, middle + 25), trainers, strict=True):
        panel(ax, 520, y - 11, 230, 22, fill="white", edge=GREY)
        write(ax, 635, y, text, size=SMALL, ha="center")
        arrow(ax, (U_X + 68, middle), (509, middle), (509, y), (520, y), color=INK)
        arrow(ax, (750, y), (762, y), (762, middle), (778, middle), color=INK)
    draw_u(ax, 816, STRIP_Y + 11, unit=1.1, step=12, skips=True)
    write(ax, 816, STRIP_Y + 71, "planned skip U-Net", size=SMALL, ha="center")
    arrow(ax, (854, middle), (896, middle), color=INK)
    labels = np.digitize(ndimage.gaussian_filter(view, 2), (0.4, 0.68)) / 2
    picture(ax, labels, 904, STRIP_Y + 8, 52, cmap=FEATURES)
    write(ax, 930, STRIP_Y + 71, "segmentation", size=SMALL, ha="center")


def draw() -> Figure:
    """The whole figure on an opaque rounded card."""
    figure = plt.figure(figsize=(WIDTH / 72, HEIGHT / 72), facecolor="none")
    ax = figure.add_axes((0, 0, 1, 1))
    panel(ax, 1, 1, WIDTH - 2, HEIGHT - 2, fill="white", edge="#d5dae1", radius=14)
    image = synthetic_slice()
    views = {name: view_of(image, box, VIEW_SIZE) for name, box in GLOBAL_BOXES.items()}
    views |= {f"l{n}": view_of(image, box, LOCAL_SIZE) for n, box in enumerate(LOCAL_BOXES, 1)}
    draw_image(ax, image)
    draw_views(ax, views)
    draw_network(ax)
    draw_pyramid(ax, views["v0"])
    heading(ax, LOSS_X, 5, "Losses")
    draw_pixels(ax, views["v0"])
    draw_semantics(ax)
    draw_scale(ax, views)
    draw_sum(ax)
    draw_weights(ax, views["v1"])
    ax.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), aspect="equal")
    ax.axis("off")
    return figure


def main() -> None:
    """Write docs/architecture.svg and, on --png, the same picture as PNG beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--png", action="store_true", help="write docs/architecture.png too")
    with_png = parser.parse_args().png
    plt.switch_backend("agg")
    TARGET.parent.mkdir(exist_ok=True)
    with plt.rc_context(SETTINGS):
        figure = draw()
        figure.savefig(TARGET, metadata={"Date": None, "Creator": None})
        if with_png:
            figure.savefig(TARGET.with_suffix(".png"), dpi=144)


if __name__ == "__main__":
    main()
