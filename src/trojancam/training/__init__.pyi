from . import (
    recipe,
    training,
)
from .recipe import Recipe, cached_model, make_model
from .training import Task, TrainingRecord, TrainingSettings, measure, predict, train

__all__ = [
    "Recipe",
    "Task",
    "TrainingRecord",
    "TrainingSettings",
    "cached_model",
    "make_model",
    "measure",
    "predict",
    "recipe",
    "train",
    "training",
]
