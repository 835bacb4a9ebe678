"""Records: frozen, and they refuse what they do not know; the kinds of numbers that their fields take."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Side = Annotated[int, Field(gt=0, le=8192)]
Share = Annotated[float, Field(gt=0, le=1)]


class Record(BaseModel):
    """A frozen record that refuses fields it does not know and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
