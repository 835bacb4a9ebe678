"""Refusals: what the explorer does not do, each one sentence, with the status of HTTP that says which kind it is."""

from trojancam.errors import TrojanCamError


class RefusedError(TrojanCamError):
    """Something that cannot be done as it was asked for."""

    status = 400

    def told_to_page(self) -> dict[str, str]:
        """What a page is told."""
        return {"error": str(self)}


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

    def told_to_page(self) -> dict[str, str]:
        """What a page is told: the scan that is running, too."""
        return {"error": str(self), "scan": self.scan}


class BusyError(RefusedError):
    """More work than can be done soon."""

    status = 503


class GoneError(RefusedError):
    """A request that whoever made it has given up; nobody reads the answer."""

    status = 499
