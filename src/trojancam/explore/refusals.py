"""Refusals: what the explorer does not do, each one sentence, with the status of HTTP that says which kind it is."""

from collections.abc import Mapping

from trojancam.errors import Remedy, TrojanCamError

ON_THE_PAGE: Mapping[Remedy, str] = {  # what people on the page can do
    Remedy.ARCHITECTURE: "choose its architecture in the dialog: {detail}, timm:NAME or torchvision:NAME",
    Remedy.NO_KEY: "start the explorer without --key",
    Remedy.NO_ARCHITECTURE: "choose no architecture in the dialog",
    Remedy.OUTPUT: "say which in the dialog",
    Remedy.PREPROCESSING: "choose how it is fed in the dialog",
    Remedy.SIZE: "save it again with its images' height and width fixed",
    Remedy.NO_SIZE: "open a network for images of this size first",
    Remedy.LABELLED_IMAGES: "start the explorer with images of its classes",
    Remedy.MORE_IMAGES: "start the explorer with more test images",
    Remedy.ITS_CLASSES: "start the explorer with images of its classes and in its order",
    Remedy.SAME_CLASSES: "open one of the same classes, or start the explorer with images of its classes",
    Remedy.MODEL_FILE: "open its file again",
    Remedy.INSTALL: "install it where the explorer runs: pip install {detail}",
    Remedy.IMPORTABLE: "choose another architecture in the dialog",
    Remedy.RESUME: "continue it with 'trojancam train --resume'",
    Remedy.PORT: "start the explorer on another port",
    Remedy.STUDY: "say which with 'trojancam reproduce --study'",
    Remedy.FORCE: "do it all the same on the command line, with --force",
    Remedy.SCAN: "sift on the command line, with --scan",
    Remedy.WHOLE: "start the explorer with --crop whole, or with the folder of GTSRB",
}


def told_to_page(refusal: Exception) -> dict[str, str]:
    """What a page is told of a refusal: one sentence, and of a scan that is in the way which one it is."""
    sentence = refusal.told(ON_THE_PAGE) if isinstance(refusal, TrojanCamError) else str(refusal)
    return {"error": sentence} | ({"scan": refusal.scan} if isinstance(refusal, TakenError) else {})


class RefusedError(TrojanCamError):
    """Something that cannot be done as it was asked for."""

    status = 400


class ForbiddenError(RefusedError):
    """A request that does not come from the explorer's own page."""

    status = 403


class UnknownError(RefusedError):
    """A model, an image or a scan that is not, or no longer, there."""

    status = 404


class TooLargeError(RefusedError):
    """More bytes than are taken."""

    status = 413


class TakenError(RefusedError):
    """Something that only one can have at a time."""

    status = 429

    def __init__(self, sentence: str, scan: str) -> None:
        super().__init__(sentence)
        self.scan = scan


class BusyError(RefusedError):
    """More work than can be done soon."""

    status = 503


class GoneError(RefusedError):
    """A request that whoever made it has given up; nobody reads the answer."""

    status = 499
