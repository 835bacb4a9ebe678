"""The numbers of a layer's feature maps, which several documents hold."""

from pydantic import Field

from trojancam.records import Rate
from trojancam.report.documents.document import Part


class MapNumbers(Part):
    """The feature maps of a layer on one image: every list has a number for each map, in order."""

    weight: list[float] = Field(description="`w_k`.")
    contribution: list[float] = Field(description="The sum of the cells of `w_k A^k`.")
    peak: list[float] = Field(description="The largest cell drawn; of either sign, if the maps are signed.")
    energy: list[Rate] | None = Field(
        None, description="Share of the map's energy in the trigger, grown by a cell; null where the map is blank."
    )
    stimulation_asr: list[Rate] | None = Field(
        None, description="Share of images turned with this map stimulated; null where that was not measured."
    )
