"""Whatever images users have, they come out as the same floats `n 3 h w`, or are refused with the remedy that fits them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError
from trojancam.network.given_images import arranged, read

SIZE = (4, 6)
BYTES = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FLOATS = BYTES.float() / 255
GREY = BYTES[:, 0]
LAST = BYTES.permute(0, 2, 3, 1)


def given(images: object, size: tuple[int, int] = SIZE) -> Tensor:
    return read(images, size, "the network")


@pytest.mark.parametrize(
    "images",
    [
        FLOATS,
        FLOATS.double(),
        BYTES,
        BYTES.numpy(),
        LAST,
        LAST.numpy(),
        LAST.numpy().copy()[:, ::-1][:, ::-1],
        FLOATS.numpy(),
        FLOATS.numpy().astype(">f4"),
        FLOATS.numpy().astype(np.longdouble),
        list(BYTES),
        tuple(LAST.numpy()),
        [Image.fromarray(image.numpy()) for image in LAST],
        ImageSet(BYTES, torch.tensor([0, 1]), ("a", "b")),
    ],
)
def test_colour_images(images):
    found = given(images)
    assert found.shape == (2, 3, *SIZE)
    torch.testing.assert_close(found.float(), FLOATS, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "images",
    [FLOATS[0], BYTES[0], LAST[0].numpy(), [BYTES[0]], Image.fromarray(LAST[0].numpy()), BYTES[:1]],
)
def test_a_single_image(images):
    assert torch.equal(given(images), FLOATS[:1])


@pytest.mark.parametrize(
    "images",
    [GREY, GREY[:, None], GREY[..., None], GREY.numpy(), list(GREY), [Image.fromarray(one.numpy()) for one in GREY]],
)
def test_grey_images(images):
    assert torch.equal(given(images), FLOATS[:, :1].expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    "image", [GREY[0], GREY[:1], GREY[0, ..., None], GREY[0].numpy(), Image.fromarray(GREY[0].numpy())]
)
def test_a_single_grey_image(image):
    assert torch.equal(given(image), FLOATS[:1, :1].expand(-1, 3, -1, -1))


def test_floats_as_they_should_be_are_not_copied():
    images = FLOATS.clone().requires_grad_()
    assert given(images).data_ptr() == images.data_ptr()
    assert given(images).requires_grad
    array = FLOATS.numpy()
    assert given(array).data_ptr() == torch.from_numpy(array).data_ptr()


def test_an_array_that_may_not_be_written_to_is_copied():
    array = FLOATS.numpy().copy()
    array.flags.writeable = False
    found = given(array)
    assert torch.equal(found, FLOATS)
    assert found.data_ptr() != array.ctypes.data


def test_where_both_orders_fit_channels_come_first():
    images = torch.rand(2, 3, 3, 3)
    assert torch.equal(given(images, (3, 3)), images)
    assert torch.equal(given(images[0], (3, 3)), images[:1])


def test_a_list_says_that_its_first_axis_counts_images():
    three, four = list(GREY[:1].repeat(3, 1, 1)), list(GREY[:1].repeat(4, 1, 1))
    assert given(three).shape == (3, 3, *SIZE)
    assert given(four).shape == (4, 3, *SIZE)
    assert given(torch.stack(three)).shape == (1, 3, *SIZE)  # of colour, where nothing says that these are three


def test_pictures_of_every_mode():
    colour = Image.fromarray(LAST[0].numpy())
    assert torch.equal(given(colour.convert("CMYK").convert("RGB")), given(colour.convert("CMYK")))
    clear = Image.fromarray(np.dstack([LAST[0].numpy(), np.zeros(SIZE, np.uint8)]))
    assert torch.equal(given(clear), torch.ones(1, 3, *SIZE))  # transparent pixels are laid on white
    deep = Image.fromarray(GREY[0].numpy().astype(np.uint16) * 257)
    assert torch.equal(given(deep), given(GREY[0]))


def test_other_ranges_are_only_for_those_who_ask():
    assert torch.equal(arranged(FLOATS * 5 - 2, SIZE, "the network"), FLOATS * 5 - 2)


def normalised() -> Tensor:
    return (FLOATS - 0.5) / 0.25


WIDE = torch.rand(2, 3, 8, 9)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (FLOATS * 255, r"must lie in \[0, 1\], but these run from 0 to 2\d\d; divide them by 255"),
        (BYTES.numpy().astype(np.float64), "divide them by 255"),
        (normalised(), r"as normalised ones do; give images in \[0, 1\]: the network normalises them itself"),
        (FLOATS * 255 - 128, "as normalised ones do"),
        (FLOATS * 1.3 - 0.15, r"if resizing made them overshoot, cut that off with images.clamp\(0, 1\)"),
        (FLOATS * 65535, "divide them, as floats, by the greatest value that they can have .65535 of 16 bits."),
        (BYTES.to(torch.int64), r"but these are int64 from 0 to 2\d\d; make them bytes, with images.to.torch.uint8."),
        (BYTES.numpy().astype(np.int32) * 100, "int32 from 0 to 2.*; divide them, as floats, by the greatest value"),
        (BYTES > 9, "or bytes, not bool; convert them to floats"),
        (FLOATS.to(torch.complex64), "or bytes, not complex64"),
        (
            torch.where(torch.arange(2).view(2, 1, 1, 1) == 1, torch.nan, FLOATS),
            "image 1 holds values that are not finite",
        ),
        (FLOATS + torch.inf, "image 0 holds values that are not finite"),
        (
            WIDE,
            r"the network takes images of 4x6 pixels .height x width., but these are 8x9; .*interpolate.images, .4, 6.",
        ),
        (WIDE.permute(0, 2, 3, 1).numpy(), "takes images of 4x6 pixels .* but these are 8x9"),
        (WIDE[0], "takes images of 4x6 pixels .* but these are 8x9"),
        (WIDE[0, 0], "takes images of 4x6 pixels .* but these are 8x9"),
        (FLOATS.transpose(2, 3), "takes images of 4x6 pixels .* but these are 6x4"),
        (
            Image.new("RGB", (9, 8)),
            r"takes images of 4x6 .* these are 8x9; resize them, with picture.resize\(\(6, 4\)\)",
        ),
        (torch.rand(2, 4, *SIZE), "images of shape .2, 4, 4, 6. have four channels; leave out the fourth"),
        (np.zeros((2, *SIZE, 4), np.uint8), "have four channels"),
        (torch.rand(4, *SIZE), "have four channels"),
        (torch.rand(*SIZE, 4), "have four channels"),
        (torch.rand(5, 4, 9, 9), "have four channels"),
        (torch.rand(2, 2, *SIZE), r"are of shape \(n, 3, height, width\) or .*, not \(2, 2, 4, 6\); move their axes"),
        (torch.rand(1, 2, 3, *SIZE), r"not \(1, 2, 3, 4, 6\)"),
        (torch.rand(6), r"not \(6,\)"),
        (torch.rand(0, 3, *SIZE), r"there are no images in a shape of \(0, 3, 4, 6\); give at least one"),
        ([], "there are no images; give at least one"),
        (
            [FLOATS[0], WIDE[0]],
            r"must be of one shape, but these are \(3, 4, 6\) and \(3, 8, 9\); resize them to 4x6 pixels",
        ),
        ([FLOATS[0], BYTES[0]], "must be of one kind, but these are float32 and uint8"),
        ((FLOATS, torch.tensor([0, 1])), "these are images and labels; give the images alone: images, labels = ..."),
        ("sign.png", r"'sign.png' is a path, not an image; read it first, with trojancam.data.read_image"),
        (np.array(["a", "b"]), "images must be numbers, but this is an array of <U1"),
        (iter([FLOATS]), r"not taken from a list_iterator one by one; give one batch, such as next.iter.loader..\[0\]"),
        (
            SimpleNamespace(images="?", labels="?"),
            "a tensor, an array, a Pillow image or a list of these, not SimpleNamespace",
        ),
        (None, "not NoneType"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy_of_its_own(images, sentence):
    with pytest.raises(DataError, match=sentence):
        given(images)
