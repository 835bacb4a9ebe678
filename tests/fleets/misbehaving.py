"""Architectures of a user's own that break the process they are built in."""

import os
import signal
import time

import torch
from torch import nn


def hang() -> nn.Module:
    while True:
        time.sleep(1)


def hungry() -> nn.Module:
    return nn.Linear(torch.zeros(1 << 34, device="cpu").fill_(1.0).shape[0], 2)  # 64 GB


def dying() -> nn.Module:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def failing() -> nn.Module:
    raise SystemExit(0)
