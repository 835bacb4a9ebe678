"""Training: seeded, resumable, measured; and recipes, which are trained once and kept."""

from trojancam.network.card import TrainingRecord, TrainingSettings
from trojancam.training.recipe import Recipe, cached_model, make_model
from trojancam.training.training import Task, measure, predict, train

__all__ = [
    "Recipe",
    "Task",
    "TrainingRecord",
    "TrainingSettings",
    "cached_model",
    "make_model",
    "measure",
    "predict",
    "train",
]
