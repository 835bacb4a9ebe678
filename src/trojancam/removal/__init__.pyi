from . import (
    ablation,
    contract,
    fine_tuning,
    fresh,
    goal,
    judging,
    ladder,
    learner,
    ledger,
    reactivation,
    repairing,
    stamping,
    unlearning,
)
from .contract import Repair, RepairJob, Rung
from .judging import Ruling
from .ledger import Ledger
from .repairing import REPAIRS, Outcome, remove

__all__ = [
    "REPAIRS",
    "Ledger",
    "Outcome",
    "Repair",
    "RepairJob",
    "Ruling",
    "Rung",
    "ablation",
    "contract",
    "fine_tuning",
    "fresh",
    "goal",
    "judging",
    "ladder",
    "learner",
    "ledger",
    "reactivation",
    "remove",
    "repairing",
    "stamping",
    "unlearning",
]
