"""From your own PyTorch model to a grid of its feature maps: run it, then look at feature-maps.png."""

from torch import nn

import trojancam as tc

model = nn.Sequential(
    nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 43),
)  # fmt: skip
images, labels = tc.data.rendered_signs(train=0, test=43).test.take(8)

network = tc.Network.from_module(model, input_size=(32, 32), class_names=tc.data.GTSRB_CLASS_NAMES)
cams = tc.grad_cam(tc.record(network, images))
figure = tc.figures.feature_map_grid(images[0], cams["4"], caption="an untrained network")
tc.figures.save(figure, "feature-maps.png")
