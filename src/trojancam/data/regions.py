"""Where the sign is in an image, and how that box moves when the image is resized.

GTSRB writes a box as the pixels x1, y1, x2, y2 with the last one inside, so it covers x1 ... x2 + 1 on the ruler.
"""

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor


def scaled_regions(roi: Integer[np.ndarray, "n 6"], height: int, width: int) -> Float[Tensor, "n 4"]:
    """Boxes x1, y1, x2, y2 (last pixel inside) after their images are resized to `height` x `width` pixels.

    `roi` holds width, height, x1, y1, x2, y2 in pixels of the images before.

    >>> import numpy as np
    >>> scaled_regions(np.array([[64, 16, 8, 4, 55, 11]]), 32, 32).tolist()  # half as wide, twice as high
    [[4.0, 8.0, 27.0, 23.0]]
    """
    numbers = torch.from_numpy(np.asarray(roi, dtype=np.float32))
    scale = torch.tensor([width, height]) / numbers[:, :2]
    return torch.cat([numbers[:, 2:4] * scale, (numbers[:, 4:6] + 1) * scale - 1], dim=1)


def whole_regions(count: int, height: int, width: int) -> Float[Tensor, "n 4"]:
    """The boxes of images that were cropped to the sign: all of their pixels."""
    return torch.tensor([[0, 0, width - 1, height - 1]], dtype=torch.float32).repeat(count, 1)


def first_bad_region(roi: Integer[np.ndarray, "n 6"]) -> int | None:
    """The index of the first box that is empty or leaves its image, if there is one."""
    width, height, x1, y1, x2, y2 = np.asarray(roi, dtype=np.int64).reshape(-1, 6).T
    fits = (x1 >= 0) & (x1 <= x2) & (x2 < width) & (y1 >= 0) & (y1 <= y2) & (y2 < height)
    return None if fits.all() else int(np.argmin(fits))
