from . import (
    augmentation,
    checkpoint,
    recipe,
    training,
)
from .augmentation import augmented, strongly_augmented
from .recipe import Recipe, cached_model, make_model
from .training import Task, TrainingRecord, TrainingSettings, measure, measure_backdoor, predict, train

__all__ = [
    "Recipe",
    "Task",
    "TrainingRecord",
    "TrainingSettings",
    "augmentation",
    "augmented",
    "cached_model",
    "checkpoint",
    "make_model",
    "measure",
    "measure_backdoor",
    "predict",
    "recipe",
    "strongly_augmented",
    "train",
    "training",
]
