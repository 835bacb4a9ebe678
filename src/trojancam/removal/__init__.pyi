from . import (
    ablation,
    contract,
    fresh,
    goal,
    judging,
    ladder,
    learner,
    repairing,
    stamping,
    unlearning,
)
from .contract import Repair, RepairJob, Rung
from .judging import Judgement
from .repairing import REPAIRS, Outcome, remove

__all__ = [
    "REPAIRS",
    "Judgement",
    "Outcome",
    "Repair",
    "RepairJob",
    "Rung",
    "ablation",
    "contract",
    "fresh",
    "goal",
    "judging",
    "ladder",
    "learner",
    "remove",
    "repairing",
    "stamping",
    "unlearning",
]
