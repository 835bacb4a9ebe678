"""Corruptions: fifteen everyday ways to spoil an image, in five grades each (Hendrycks and Dietterich, ICLR 2019: ImageNet-C).

Constants are those of the paper's code for large images, in pixels and shares, as in the package `imagecorruptions`. All random
numbers are drawn once for a size and hold for every image, so that what becomes of an image depends on it alone. Two differ from
the code: frost and fog are sums of even noise at all scales, where the code has photographs of frost and a plasma fractal.
"""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from scipy import ndimage
from torch import Tensor

from trojancam.network.draws import Draws

GRADES = 5

Images = Float[Tensor, "n 3 h w"]
Kernel = Float[Tensor, "rows columns"]
Corruption = Callable[[Images, int, Draws], Images]


def gaussian_noise(images: Images, grade: int, draws: Draws) -> Images:
    """Normal noise of the same deviation everywhere."""
    return images + (0.08, 0.12, 0.18, 0.26, 0.38)[grade] * _normal(draws, 3, *images.shape[2:]).to(images)


def shot_noise(images: Images, grade: int, draws: Draws) -> Images:
    """Each pixel counts so many photons: a Poisson number of them arrives."""
    photons, seed = (60, 25, 12, 5, 3)[grade], int(draws.uniform(1) * 2**31)
    counted = [
        torch.poisson(image.clamp(0, 1).cpu() * photons, torch.Generator("cpu").manual_seed(seed)) for image in images
    ]
    return torch.stack(counted).to(images) / photons


def impulse_noise(images: Images, grade: int, draws: Draws) -> Images:
    """Some values become black or white."""
    share, drawn = (0.03, 0.06, 0.09, 0.17, 0.27)[grade], draws.uniform(3, *images.shape[2:]).to(images)
    return images.where(drawn >= share, (drawn >= share / 2).to(images.dtype))


def defocus_blur(images: Images, grade: int, _: Draws) -> Images:
    """A disk, whose edge is a little soft."""
    radius, softness = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[grade]
    place = torch.arange(-radius, radius + 1, device="cpu")
    disk = ((place[:, None] ** 2 + place**2) <= radius**2).float()
    return _convolved(images, torch.from_numpy(ndimage.gaussian_filter((disk / disk.sum()).numpy(), softness)))


def glass_blur(images: Images, grade: int, draws: Draws) -> Images:
    """Pixels change places with near ones, between two slight blurs."""
    sigma, reach, rounds = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[grade]
    height, width = images.shape[2:]
    order = np.arange(height * width).reshape(height, width)
    moves = (draws.uniform(rounds, height, width, 2) * (2 * reach)).long().numpy() - reach
    for each in moves:
        for row in range(height - reach - 1, reach, -1):
            for column in range(width - reach - 1, reach, -1):
                down, across = each[row, column]
                other = row + down, column + across
                order[row, column], order[other] = order[other], order[row, column]
    index = torch.from_numpy(order.ravel()).to(images.device)
    return _blurred(_blurred(images, sigma).flatten(2)[:, :, index].view_as(images), sigma)


def motion_blur(images: Images, grade: int, draws: Draws) -> Images:
    """Along a line, one way."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[grade]
    return _moving(images, radius, sigma, float(draws.uniform(1)) * 90 - 45)


def zoom_blur(images: Images, grade: int, _: Draws) -> Images:
    """The mean of ever larger copies."""
    end, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[grade]
    factors = np.arange(1, end, step)
    total = images.clone()
    for factor in factors:
        matrix = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]], dtype=images.dtype, device=images.device)
        grid = F.affine_grid(matrix.expand(len(images), -1, -1), list(images.shape), align_corners=False)
        total = total + F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return total / (len(factors) + 1)


def snow(images: Images, grade: int, draws: Draws) -> Images:
    """Bright streaks, and the picture paler behind them."""
    mean, deviation, zoom, least, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[grade]
    size = images.shape[2], images.shape[3]
    small = [max(1, math.ceil(side / zoom)) for side in size]
    flakes = mean + deviation * _normal(draws, 1, 1, *small).to(images)
    flakes = F.interpolate(flakes, size, mode="bilinear", align_corners=False)
    flakes = _moving(flakes.where(flakes >= least, 0.0).clamp(0, 1), radius, sigma, float(draws.uniform(1)) * 90 - 135)
    grey = (images * images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    paler = kept * images + (1 - kept) * torch.maximum(images, grey * 1.5 + 0.5)
    return paler + flakes + flakes.rot90(2, (2, 3))


def frost(images: Images, grade: int, draws: Draws) -> Images:
    """Pale crystals in front of a darker picture."""
    kept, added = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[grade]
    return kept * images + added * _clouds(draws, images, 1.5)


def fog(images: Images, grade: int, draws: Draws) -> Images:
    """Clouds are added, and the whole made as dark as it was."""
    added, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[grade]
    most = images.amax((1, 2, 3), keepdim=True)
    return (images + added * _clouds(draws, images, decay)) * most / (most + added)


def brightness(images: Images, grade: int, _: Draws) -> Images:
    """The value of each colour, its largest part, is raised."""
    value = images.amax(1, keepdim=True)
    raised = (value + (0.1, 0.2, 0.3, 0.4, 0.5)[grade]).clamp(max=1)
    return torch.where(value > 0, images * raised / value.clamp(min=1e-6), raised)


def contrast(images: Images, grade: int, _: Draws) -> Images:
    """Towards the mean of each colour."""
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[grade] + mean


def elastic_transform(images: Images, grade: int, draws: Draws) -> Images:
    """Bent like rubber: an affine map of three corners, then a smooth random shift of every pixel."""
    strength, smooth, corner = (
        (2, 0.7, 0.1),
        (2, 0.08, 0.2),
        (0.05, 0.01, 0.02),
        (0.07, 0.01, 0.02),
        (0.12, 0.01, 0.02),
    )[grade]
    height, width = images.shape[2:]
    side = min(height, width)
    moved = (2 * draws.uniform(3, 2) - 1).double() * corner * side
    third = side / 3
    corners = torch.tensor(
        [[third, third, 1], [-third, third, 1], [third, -third, 1]], dtype=torch.float64, device="cpu"
    )
    affine = torch.linalg.solve(corners, corners[:, :2] + moved)
    fields = (2 * draws.uniform(2, height, width) - 1).numpy()
    bent = np.stack([ndimage.gaussian_filter(each, smooth * side, mode="reflect", truncate=3) for each in fields])
    rows, columns = (torch.arange(extent, dtype=torch.float64, device="cpu") for extent in (height, width))
    place = torch.stack(torch.meshgrid(columns - (width - 1) / 2, rows - (height - 1) / 2, indexing="xy"), -1)
    place = torch.cat([place, torch.ones_like(place[..., :1])], -1) @ affine
    place = place + strength * side * torch.from_numpy(bent).permute(1, 2, 0)
    grid = 2 * place / torch.tensor([width, height], dtype=torch.float64, device="cpu")
    grid = grid.to(images)[None].expand(len(images), -1, -1, -1)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def pixelate(images: Images, grade: int, _: Draws) -> Images:
    """Fewer, larger pixels."""
    size = images.shape[2], images.shape[3]
    small = [max(1, int(side * (0.6, 0.5, 0.4, 0.3, 0.25)[grade])) for side in size]
    return F.interpolate(F.interpolate(images, small, mode="area"), size, mode="nearest-exact")


def jpeg_compression(images: Images, grade: int, _: Draws) -> Images:
    """Written as a JPEG file of low quality, and read again."""
    found = []
    for image in (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy():
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=(25, 18, 15, 10, 7)[grade])
        found.append(torch.from_numpy(np.array(Image.open(stream))))
    return torch.stack(found).permute(0, 3, 1, 2).to(images) / 255


CORRUPTIONS: dict[str, Corruption] = {
    each.__name__.replace("_", " "): each
    for each in (
        gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, zoom_blur, snow, frost, fog,
        brightness, contrast, elastic_transform, pixelate, jpeg_compression,
    )
}  # fmt: skip


def corrupted(images: Images, name: str, grade: int, seed: int = 0) -> Images:
    """Images in [0, 1] spoilt in one way, in one of the grades 1 to 5.

    >>> corrupted(torch.full((1, 3, 32, 32), 0.5), "contrast", 5).unique()
    tensor([0.5000])
    """
    draws = Draws(seed + GRADES * list(CORRUPTIONS).index(name) + grade)
    return CORRUPTIONS[name](images, grade - 1, draws).clamp(0, 1)


def _normal(draws: Draws, *shape: int) -> Float[Tensor, "..."]:
    """Standard normal numbers."""
    return (2 * draws.uniform(*shape).clamp(1e-6, 1 - 1e-6) - 1).erfinv() * 2**0.5


def _blurred(images: Images, sigma: int | float) -> Images:
    reach = math.ceil(4 * sigma)
    place = torch.arange(-reach, reach + 1, dtype=torch.float32, device="cpu")
    row = (-(place**2) / (2 * sigma**2)).exp()
    return _convolved(_convolved(images, row[None] / row.sum()), row[:, None] / row.sum())


def _moving(
    images: Float[Tensor, "n c h w"], radius: int, sigma: int | float, degrees: float
) -> Float[Tensor, "n c h w"]:
    """Each pixel is smeared along a line, less and less by a bell curve."""
    steps, angle = np.arange(2 * radius + 1), math.radians(degrees)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    kernel = torch.zeros(4 * radius + 1, 4 * radius + 1, device="cpu")
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        down, across = round(step * math.sin(angle)), round(step * math.cos(angle))
        kernel[2 * radius + down, 2 * radius + across] += weight
    return _convolved(images, kernel)


def _convolved(images: Float[Tensor, "n c h w"], kernel: Kernel) -> Float[Tensor, "n c h w"]:
    """Every colour by itself; at the edges the outermost pixels are repeated."""
    rows, columns = (extent // 2 for extent in kernel.shape)
    padded = F.pad(images, (columns, columns, rows, rows), mode="replicate")
    weight = kernel.to(images)[None, None].expand(images.shape[1], -1, -1, -1)
    return F.conv2d(padded, weight, groups=images.shape[1])


def _clouds(draws: Draws, images: Images, decay: int | float) -> Float[Tensor, "1 1 h w"]:
    """Even noise at scales from the whole image down to a pixel, each weaker than the one before; from 0 to 1."""
    size = images.shape[2], images.shape[3]
    total, strength = torch.zeros(1, 1, *size, device="cpu"), 1.0
    cells = 2
    while cells <= max(size):
        noise = draws.uniform(1, 1, cells, cells)
        total = total + strength * F.interpolate(noise, size, mode="bilinear", align_corners=True)
        cells, strength = 2 * cells, strength / decay
    low, high = total.amin(), total.amax()
    return ((total - low) / (high - low).clamp(min=1e-6)).to(images)
