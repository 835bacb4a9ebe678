"""Keras classes: which layers, operations and activations of Keras a file may name, and what is known of them."""

# Models: the module that Keras takes them from.
MODELS = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
ALIASES = {
    "AvgPool2D": "AveragePooling2D",
    "Convolution2D": "Conv2D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "MaxPool2D": "MaxPooling2D",
    "Model": "Functional",
    "SeparableConvolution2D": "SeparableConv2D",
}
# Layers: the weights that they make room for by means of an initializer.
LAYERS: dict[str, tuple[str, ...]] = {
    "BatchNormalization": ("beta", "gamma", "moving_mean", "moving_variance"),
    "Conv2D": ("kernel", "bias"),
    "Conv2DTranspose": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "DepthwiseConv2D": ("depthwise", "bias"),
    "GroupNormalization": ("beta", "gamma"),
    "LayerNormalization": ("beta", "gamma"),
    "MultiHeadAttention": ("kernel", "bias"),
    "PReLU": ("alpha",),
    "SeparableConv2D": ("depthwise", "pointwise", "bias"),
    **dict.fromkeys(
        (
            *("Activation", "ELU", "LeakyReLU", "ReLU", "Softmax"),
            *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"),
            *("AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "MaxPooling2D"),
            *("GlobalAveragePooling1D", "GlobalMaxPooling1D"),
            *("CenterCrop", "Cropping2D", "Normalization", "Rescaling", "Resizing", "UpSampling2D", "ZeroPadding2D"),
            *("Flatten", "InputLayer", "Permute", "Reshape", "UnitNormalization"),
        ),
        (),
    ),
}
# Layers around another one, which do nothing to it outside training.
WRAPPERS = {"SpectralNormalization"}
# What is built as a class of ours, under these names: a layer whose weights no initializer makes, and parts of tensors
# that go backwards, which Keras cannot take on PyTorch.
OWN_CLASSES = {"GetItem": "trojancam>GetItem", "Normalization": "trojancam>Normalization"}
PREPROCESSING = {"CenterCrop", "Normalization", "Rescaling", "Resizing"}
# Layers that do nothing outside training, and whether people should hear of that.
IDLE = {
    **dict.fromkeys(("ActivityRegularization", "AlphaDropout", "Dropout", "Identity", "SpatialDropout2D"), False),
    **dict.fromkeys(
        (
            *("AugMix", "CutMix", "GaussianDropout", "GaussianNoise", "MixUp", "RandAugment", "RandomBrightness"),
            *("RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform"),
            *("RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert"),
            *("RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness"),
            *("RandomShear", "RandomTranslation", "RandomZoom"),
        ),
        True,
    ),
}
OPERATIONS = {
    "keras.src.activations.activations": {"ReLU"},
    "keras.src.ops.nn": {
        *("Elu", "Gelu", "HardSigmoid", "HardSilu", "LeakyRelu", "Relu", "Relu6", "Selu", "Sigmoid", "Silu"),
        *("Softmax", "Softplus", "Softsign"),
    },
    "keras.src.ops.numpy": {
        *("Absolute", "Add", "Clip", "Concatenate", "Divide", "Exp", "Flip", "GetItem", "Max", "Maximum", "Mean"),
        *("Minimum", "Multiply"),
        *("Negative", "Reshape", "Sqrt", "Square", "Squeeze", "Subtract", "Sum", "Tanh", "Transpose", "TrueDivide"),
    },
}
ACTIVATIONS = {
    *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh"),
    *("leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu"),
    *("soft_shrink", "softmax", "softplus", "softsign", "squareplus", "swish", "tanh", "tanh_shrink", "threshold"),
}
ACTIVATION_LAYERS = {"ELU", "LeakyReLU", "ReLU", "Softmax"}
NUMBER_TYPES = {
    *("bfloat16", "float16", "float32", "float64", "mixed_bfloat16", "mixed_float16", "uint8", "int32", "int64"),
}
# Endings of arguments that say how weights are made or trained, which a trained network does not need.
NOT_NEEDED = (
    *("_constraint", "_initializer", "_regularizer", "autocast", "batch_input_shape", "dtype", "fused", "lora_alpha"),
    *("renorm_clipping", "renorm_momentum", "synchronized"),
)
# Arguments that not all versions of Keras know, with the values that ask for what the others do.
NEUTRAL = {
    "DepthwiseConv2D.groups": 1,
    "SeparableConv2D.groups": 1,
    "MultiHeadAttention.sliding_window": None,
    "MultiHeadAttention.use_gate": False,
    "adjustment": None,
    "lora_rank": None,
    "quantization_config": None,
    "renorm": False,
    "virtual_batch_size": None,
}
