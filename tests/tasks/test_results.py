"""Results are handed over on the processor, whatever they are made of, and as they are where they lie there."""

import torch
from tests.nets import images_for, network

import trojancam as tc
from trojancam.tasks.results import on_processor


def test_what_lies_on_the_processor_is_the_same_object() -> None:
    recording = tc.record(network("plain")[1], images_for(network("plain")[1], 2))
    assert on_processor(recording) is recording


def test_every_tensor_of_a_result_is_moved_and_all_else_is_kept() -> None:
    recording = tc.record(network("plain")[1], images_for(network("plain")[1], 2))
    moved = on_processor(recording, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)
    assert moved.logits.dtype == moved.scores.dtype == torch.float64
    assert moved.saturated is recording.saturated
    assert (moved.target, moved.image_size) == (recording.target, recording.image_size)
    for name, layer in moved.layers.items():
        assert layer.activations.dtype == torch.float64
        torch.testing.assert_close(layer.activations.float(), recording.layers[name].activations)
