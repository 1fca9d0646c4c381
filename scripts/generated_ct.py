"""Generated abdominal CT with liver and liver tumours, as in LiTS; writes no files."""

from functools import partial

import numpy as np
from generated_shapes import (
    Case,
    both,
    coordinates,
    deform,
    draw_shape,
    ellipsoid,
    jitter,
    paint,
    smooth_field,
    tubes,
    voxel_size,
)
from scipy.ndimage import gaussian_filter


def _paint_trunk(rng, image, grid, field, body, fat) -> np.ndarray:
    """Skin, fat, muscular wall, bowel and stomach; returns the level set of the cavity."""
    y = grid[1]
    cavity = body - fat - 0.12
    paint(image, body, 10)
    paint(image, body - 0.03, -105 + 8 * field(0.3))
    paint(image, body - fat, 55 + 8 * field(0.12))
    paint(image, cavity, -95 + 12 * field(0.15))
    for side in (-1, 1):
        paint(image, ellipsoid(grid, (0, 0.46, side * 0.2), (np.inf, 0.13, 0.17)), 55)
        paint(image, ellipsoid(grid, (-0.7, 0.27, side * 0.22), (0.7, 0.1, 0.09)), 58)

    bowel = both(cavity, 0.15 * (field(0.3) - 0.1), 0.15 - y)
    paint(image, bowel, 35 + 10 * field(0.1))
    paint(image, both(bowel - 0.06, 0.15 * field(0.3) - 0.1), -750)

    centre = jitter(rng, (0.15, -0.18, 0.4), 0.05)
    stomach = both(ellipsoid(grid, centre, (0.35, 0.26, 0.27)), cavity)
    paint(image, stomach, 45)
    paint(image, stomach - 0.12, 15 + 10 * field(0.15))
    # The patient lies on the back: gas collects in front of a level surface.
    paint(image, both(stomach - 0.12, centre[1] - 0.06 - y), -900)
    return cavity


def _paint_organs(rng, image, grid, field, cavity) -> None:
    """Spleen and kidneys."""
    spleen = ellipsoid(grid, jitter(rng, (0.2, 0.15, 0.62), 0.04), (0.4, 0.3, 0.14))
    paint(image, both(spleen, cavity), 75 + 5 * field(0.1))
    for side in (-1, 1):
        centre = jitter(rng, (-0.4 + 0.06 * side, 0.24, side * 0.42), 0.03)
        kidney = both(ellipsoid(grid, centre, (0.32, 0.15, 0.13)), cavity)
        paint(image, kidney, 130)
        paint(image, kidney - 0.35, 85)
        paint(image, ellipsoid(grid, centre - (0, 0, side * 0.07), (0.16, 0.06, 0.07)), -60)


def _draw_liver(rng, grid, field, cavity, dome) -> np.ndarray:
    """Level set of a right and a left lobe, beside the spine and below the diaphragm."""
    grid = deform(grid, field, 0.03, 0.5)
    right = jitter(rng, (0.1, 0, -0.4), 0.05), jitter(rng, (0.65, 0.44, 0.4), 0.04)
    left = jitter(rng, (0.2, -0.25, 0), 0.05), jitter(rng, (0.35, 0.2, 0.4), 0.04)
    lobes = np.maximum(ellipsoid(grid, *right), ellipsoid(grid, *left))
    spine = ellipsoid(grid, (0, 0.22, -0.02), (np.inf, 0.23, 0.22))
    return both(lobes, cavity - 0.02, -dome - 0.02, -spine)


def _draw_tumours(rng, straight, field, liver) -> np.ndarray:
    """Level set of 0 to 3 lumpy tumours, all inside the liver; negative everywhere for none."""
    tumours = np.full_like(liver, -1)
    # Centres lie deep, so that even a large tumour keeps most of its shape.
    candidates = np.argwhere(liver > 0.4 * liver.max())
    lumps = 0.16 * field(0.25)
    for _ in range(rng.choice(4, p=(0.1, 0.35, 0.3, 0.25))):
        centre = straight[(slice(None), *rng.choice(candidates))]
        radii = jitter(rng, [rng.uniform(0.09, 0.22)] * 3, 0.02)
        radii = np.maximum(radii, 1.6 * voxel_size(straight))
        tumours = np.maximum(tumours, ellipsoid(straight, centre, radii) + lumps)
    return both(tumours, liver)


def _paint_chest(image, grid, field, cavity, dome) -> None:
    """Lungs with vessels above the diaphragm, the heart between them."""
    heart = ellipsoid(grid, (0.95, -0.2, 0.12), (0.5, 0.27, 0.32))
    paint(image, both(dome, heart), 50)
    paint(image, both(dome, heart - 0.2, 0.35 * abs(field(0.5)) - 0.05), 140)
    lungs = both(cavity, dome, abs(grid[2]) - 0.14, -0.05 - heart)
    paint(image, lungs, -860 + 25 * field(0.2))
    paint(image, both(lungs - 0.03, tubes(field, 0.25, 0.4)), 0)


def _paint_skeleton(rng, image, grid, field, body, fat) -> None:
    """Ribs in the wall, vertebrae with discs, arch and canal, the great vessels before them."""
    z, y, x = grid
    angle = abs(np.arctan2(x, -y))
    phase = rng.uniform(0, 2 * np.pi)
    # Ribs run obliquely, so that an axial slice cuts each as a short arc.
    bands = np.cos(2 * np.pi * (3.2 * z - 1.5 * angle) + phase) - 0.3
    ribs = both(0.04 - abs(body - fat - 0.07), 0.06 * bands, angle - 0.7, z + 0.6)
    paint(image, ribs, 420)
    paint(image, ribs - 0.02, 220)

    discs = np.cos(2 * np.pi * 2.6 * z + phase)
    vertebra = ellipsoid(grid, (0, 0.26, 0), (np.inf, 0.13, 0.16))
    paint(image, vertebra, 90)
    paint(image, both(vertebra, 0.3 * (discs + 0.8)), 380)
    paint(image, both(vertebra - 0.14, 0.3 * (discs + 0.6)), 190 + 25 * field(0.08))
    paint(image, ellipsoid(grid, (0, 0.41, 0), (np.inf, 0.09, 0.11)), 330)
    arch = 0.3 * (discs + 0.3)
    for side in (-1, 1):
        process = ellipsoid(grid, (0, 0.42, side * 0.16), (np.inf, 0.035, 0.11))
        paint(image, both(process, arch), 320)
    paint(image, both(ellipsoid(grid, (0, 0.52, 0), (np.inf, 0.1, 0.03)), arch), 320)
    paint(image, ellipsoid(grid, (0, 0.41, 0), (np.inf, 0.055, 0.065)), 30)

    paint(image, ellipsoid(grid, (0, 0.08, 0.07), (np.inf, 0.065, 0.065)), 150)
    paint(image, ellipsoid(grid, (0, 0.08, -0.1), (np.inf, 0.055, 0.075)), 115)


def generate_ct(rng: np.random.Generator, size: tuple[int, int, int]) -> Case:
    """Abdomen as in LiTS: one channel in HU; labels 0 background, 1 liver, 2 tumour.

    Args:
        rng: source of everything that differs between cases.
        size: approximate (D, H, W) in voxels.

    Returns:
        Case with spacing of about (3, 1.5, 1.5) mm and HU in [-1024, 1500]. Tumours lie inside the
        liver; about one case in ten has none.
    """
    shape = draw_shape(rng, size)
    in_plane_mm = 1.5 * rng.uniform(0.93, 1.07)
    spacing_mm = (3.0 * rng.uniform(0.93, 1.07), in_plane_mm, in_plane_mm)
    straight = coordinates(shape, spacing_mm)
    field = partial(smooth_field, rng, straight)
    grid = deform(straight, field, 0.02, 0.9)
    z, y, x = grid

    image = np.full(shape, -1000, dtype=np.float32)
    table = 0.025 - abs(straight[1] - 0.84 + 0.2 * straight[2] ** 2)
    paint(image, table, -350)
    width, height = jitter(rng, (0.9, 0.68), 0.04)
    body = 1 - (abs(x / width) ** 2.3 + abs(y / height) ** 2.3) ** (1 / 2.3)
    fat = rng.uniform(0.07, 0.17) + 0.015 * field(0.8)
    cavity = _paint_trunk(rng, image, grid, field, body, fat)
    _paint_organs(rng, image, grid, field, cavity)

    dome = z - rng.uniform(0.5, 0.9) + 2.2 * (abs(x) - 0.38) ** 2 + 1.6 * (y + 0.05) ** 2
    liver = _draw_liver(rng, grid, field, cavity, dome)
    tumours = _draw_tumours(rng, straight, field, liver)
    paint(image, liver, rng.uniform(55, 70) + 4 * field(0.1))
    paint(image, both(liver - 0.05, tubes(field, 0.5, 0.3)), 115)
    paint(image, tumours, rng.uniform(20, 40) + 5 * field(0.12))
    _paint_chest(image, grid, field, cavity, dome)
    _paint_skeleton(rng, image, grid, field, body, fat)

    # Reconstructed CT noise is correlated in the axial plane.
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (0, 0.6, 0.6))
    image += rng.uniform(8, 14) * noise / noise.std()
    labels = (liver > 0).astype(np.uint8) + (tumours > 0)
    return Case(image.clip(-1024, 1500).round().astype(np.int16)[None], labels, spacing_mm)
