"""Generated four-channel brain MR with a nested lesion, as in BraTS; writes no files."""

from functools import partial

import numpy as np
from generated_shapes import (
    Case,
    both,
    coordinates,
    deform,
    distance_voxels,
    draw_shape,
    ellipsoid,
    jitter,
    occupancy,
    smooth_field,
    voxel_size,
)

# Columns of the contrast table.
WHITE, GREY, CSF, OEDEMA, NECROSIS, ENHANCING = range(6)
# Rows: T1, T1ce, T2, FLAIR.
MR_CONTRAST = np.array(
    [
        [1.00, 0.74, 0.30, 0.72, 0.45, 0.70],
        [1.00, 0.76, 0.30, 0.72, 0.42, 1.60],
        [0.52, 0.74, 1.35, 1.02, 1.20, 0.88],
        [0.62, 0.80, 0.22, 1.25, 0.65, 1.08],
    ],
    dtype=np.float32,
)


def add_tissue(fractions: np.ndarray, tissue: int, level: np.ndarray, share: float = 1) -> None:
    """Let one tissue take a share of a level set in `fractions` [T, D, H, W], in place."""
    taken = share * occupancy(level)
    fractions *= 1 - taken
    fractions[tissue] += taken


def rician_noise(rng: np.random.Generator, signal: np.ndarray, sigma: float) -> np.ndarray:
    """Magnitude of the signal after complex Gaussian noise, as an MR scanner gives it."""
    real, imaginary = sigma * rng.standard_normal((2, *signal.shape), dtype=np.float32)
    return np.hypot(signal + real, imaginary)


def _draw_lesion(rng, straight, field, centre) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nested level sets: the whole tumour, its core, and what does not enhance in the core."""
    voxel = voxel_size(straight)
    lumps = 0.14 * field(0.3)
    radius = rng.uniform(0.16, 0.28)
    radii = np.maximum(jitter(rng, [radius] * 3, 0.03), 2.4 * voxel)
    core = ellipsoid(straight, centre, radii) + lumps
    inner_radii = np.maximum(rng.uniform(0.5, 0.75) * radii, 1.1 * voxel)
    inner = ellipsoid(straight, centre, inner_radii) + lumps + 0.1 * field(0.2)
    # Here and there the enhancing rim is broken.
    inner = np.maximum(inner, 0.2 * (field(0.3) - 1.6))
    reach = np.maximum(rng.uniform(1.4, 2) * radius, 3.5 * voxel)
    whole = ellipsoid(straight, centre, reach) + 0.2 * field(0.5)
    return np.maximum(whole, core), core, both(inner, core)


def _brain_tissue(rng, grid, field, brain) -> np.ndarray:
    """Shares of the healthy tissues, shape [T, D, H, W]: cortex with sulci, nuclei, ventricles."""
    z, y, x = grid
    unit_voxels = np.mean(brain.shape[1:]) / 2
    depth = distance_voxels(brain) / unit_voxels
    # Sulci are the sheets on which a random field vanishes, as deep as the folds reach.
    sheets = abs(distance_voxels(field(0.22))) / unit_voxels
    sulci = np.hypot(sheets, np.maximum(depth - 0.3, 0))
    centre = ellipsoid(grid, (-0.05, 0, 0), (0.34, 0.5, np.inf))
    fissure = np.hypot(x, 0.5 * np.maximum(centre, 0))
    to_csf = both(depth, sulci, fissure)

    fractions = np.zeros((MR_CONTRAST.shape[1], *brain.shape), dtype=np.float32)
    fractions[WHITE] = 1
    add = partial(add_tissue, fractions)
    add(GREY, 0.075 - to_csf)
    add(CSF, 0.014 - to_csf)
    mirrored = deform(np.stack([z, y, abs(x)]), field, 0.012, 0.25)
    add(GREY, ellipsoid(mirrored, (-0.02, -0.08, 0.28), (0.16, 0.22, 0.06)))
    add(GREY, ellipsoid(mirrored, (-0.04, 0.12, 0.11), (0.12, 0.14, 0.09)))
    # The horns of the lateral ventricles bend away from the midline in front and behind.
    bent = np.stack([z, y, abs(x) - 0.07 - 0.5 * (y - 0.03) ** 2])
    add(CSF, ellipsoid(bent, jitter(rng, (0.1, 0.03, 0), 0.02), (0.14, 0.4, 0.055)))
    add(CSF, ellipsoid(grid, (-0.1, 0.05, 0), (0.12, 0.13, 0.025)))
    return fractions


def generate_mr(rng: np.random.Generator, size: tuple[int, int, int]) -> Case:
    """Skull-stripped brain as in BraTS: channels T1, T1ce, T2, FLAIR.

    Args:
        rng: source of everything that differs between cases.
        size: approximate (D, H, W) in voxels.

    Returns:
        Case with isotropic spacing of 1.5 to 2 mm, intensities of arbitrary scale that are exactly
        0 outside the brain, and labels 0 background, 1 non-enhancing core, 2 oedema, 3 enhancing.
    """
    shape = draw_shape(rng, size)
    spacing_mm = (rng.uniform(1.5, 2.0),) * 3
    straight = coordinates(shape, spacing_mm)
    field = partial(smooth_field, rng, straight)
    grid = deform(straight, field, 0.03, 0.8)
    z, y, x = grid
    tapered = np.stack([z, y, x / (1 + 0.14 * y)])
    brain = ellipsoid(tapered, (0, 0, 0), jitter(rng, (0.75, 0.9, 0.76), 0.02))

    z_reach = min(0.3, 0.5 * straight[0].max())
    side = rng.choice((-1, 1))
    centre = rng.uniform((-z_reach, -0.4, 0.28), (z_reach, 0.4, 0.4)) * (1, 1, side)
    whole, core, inner = _draw_lesion(rng, straight, field, centre)
    # Mass effect: tissue around the lesion is pushed away from it, the skull holds.
    offset = straight - centre[:, None, None, None].astype(np.float32)
    push = 0.35 * np.exp(-(offset**2).sum(0) / (2 * 0.3**2))
    fractions = _brain_tissue(rng, grid - push * offset, field, brain)
    # Oedema spreads through white matter and spares cortex and ventricles, hence its fingers.
    spared = 0.3 * fractions[GREY] + 0.5 * fractions[CSF]
    whole = both(np.maximum(whole - spared, core), brain)
    core, inner = both(core, brain), both(inner, brain)
    add_tissue(fractions, OEDEMA, whole, share=0.8)
    add_tissue(fractions, ENHANCING, core, share=0.9)
    add_tissue(fractions, NECROSIS, inner)

    image = np.einsum("ct,tdhw->cdhw", MR_CONTRAST, fractions) * (1 + 0.03 * field(0.1))
    for channel in image:
        channel *= np.exp(rng.uniform(0.05, 0.12) * field(2.5))  # the coil's bias field
        channel[:] = rng.uniform(200, 900) * rician_noise(rng, channel, rng.uniform(0.02, 0.05))
    image *= brain > 0

    labels = np.zeros(shape, dtype=np.uint8)
    for value, level in ((2, whole), (3, core), (1, inner)):
        labels[level > 0] = value
    return Case(image, labels, spacing_mm)
