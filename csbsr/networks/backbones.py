"""Feature extractors built from torchvision's blocks: VGG-16 and dilated ResNets, of any width."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torchvision.models import (
    ResNet34_Weights,
    ResNet101_Weights,
    VGG16_Weights,
    WeightsEnum,
)
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.vgg import make_layers

FULL_WIDTH = 64


class VGG16(nn.Module):
    """The thirteen convolutions of VGG-16; returns the features of its five blocks.

    `width` is the number of channels of the first block (64 in full size). After each of the first
    `pools` blocks the features are halved by max pooling; the remaining blocks keep the resolution
    and dilate their convolutions instead. Images (B, 3, H, W) -> five maps of `channels` channels,
    the first at H x W. `pretrained` loads torchvision's ImageNet weights; see `load_imagenet`.
    """

    depths = (2, 2, 3, 3, 3)

    def __init__(self, width: int = FULL_WIDTH, pools: int = 4, pretrained: bool = False) -> None:
        super().__init__()
        self.channels = tuple(width * factor for factor in (1, 2, 4, 8, 8))
        layout: list[str | int] = []
        for channels, depth in zip(self.channels, self.depths):
            layout += [channels] * depth + ["M"]
        self.features = make_layers(layout[:-1])  # numbered as torchvision numbers them
        self.pools = pools
        block = 0
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                block += 1
            elif isinstance(layer, nn.Conv2d):
                dilate(layer, 2 ** max(0, block - pools))
        initialise(self)
        if pretrained:
            load_imagenet(self, VGG16_Weights.IMAGENET1K_V1, width)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features of the five blocks, each taken before the pooling that follows."""
        blocks: list[Tensor] = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                blocks.append(x)
                if len(blocks) > self.pools:
                    continue
            x = layer(x)
        return (*blocks, x)


class ResNet(nn.Module):
    """A ResNet without its classifier; returns the features of its four layers.

    `dilations` lists, layer by layer, the dilation of every block: where a layer is not strided,
    dilation keeps the field of view at the higher resolution. Images (B, 3, H, W) -> four maps of
    `channels` channels, the first at H/4 x W/4.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        width: int,
        strides: Sequence[int],
        dilations: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        self.channels = tuple(width * 2**i * block.expansion for i in range(4))
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = (width, *self.channels[:3])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            residual_layer(block, inputs[i], width * 2**i, strides[i], dilations[i])
            for i in range(4)
        )
        initialise(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features of layers 1 to 4."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (B, width, H/4, W/4)
        features: list[Tensor] = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return tuple(features)


def resnet34_dilated(width: int = FULL_WIDTH, pretrained: bool = False) -> ResNet:
    """ResNet-34 at an eighth of the resolution, as the released PSPNet uses it.

    Layers 3 and 4 are dilated by 2 and 4 instead of strided; their first blocks are not dilated.
    """
    dilations = ([1] * 3, [1] * 4, [1] + [2] * 5, [1] + [4] * 2)
    net = ResNet(BasicBlock, width, strides=(1, 2, 1, 1), dilations=dilations)
    if pretrained:
        load_imagenet(net, ResNet34_Weights.IMAGENET1K_V1, width)
    return net


def resnet101_dilated(
    width: int = FULL_WIDTH, pretrained: bool = False, output_stride: Literal[16, 4] = 16
) -> ResNet:
    """ResNet-101 at a sixteenth of the resolution, as DeepLabV3+ uses it (multi-grid 2, 4, 8).

    With `output_stride` 4 no layer is strided after the stem; dilations of 2 and 4 in the place of
    strides keep the field of view (for LR images, of which a sixteenth is a few pixels).
    """
    if output_stride == 16:
        dilations, strides = ([1] * 3, [1] * 4, [1] * 23, [2, 4, 8]), (1, 2, 2, 1)
    else:
        dilations, strides = ([1] * 3, [2] * 4, [4] * 23, [4, 8, 16]), (1, 1, 1, 1)
    net = ResNet(Bottleneck, width, strides=strides, dilations=dilations)
    if pretrained:
        load_imagenet(net, ResNet101_Weights.IMAGENET1K_V1, width)
    return net


def residual_layer(
    block: type[BasicBlock] | type[Bottleneck],
    inputs: int,
    planes: int,
    stride: int,
    dilations: Sequence[int],
) -> nn.Sequential:
    """Chain residual blocks, one per entry of `dilations`; the first may stride and widen."""
    outputs = planes * block.expansion
    projection = None
    if stride != 1 or inputs != outputs:
        projection = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
        )
    blocks = [block(inputs, planes, stride, projection)]
    blocks += [block(outputs, planes) for _ in dilations[1:]]
    for residual, dilation in zip(blocks, dilations):
        for layer in residual.modules():
            if isinstance(layer, nn.Conv2d):
                dilate(layer, dilation)
    return nn.Sequential(*blocks)


def dilate(conv: nn.Conv2d, dilation: int) -> None:
    """Dilate a 3x3 convolution in place and pad it to keep the size; 1x1 ones stay as they are."""
    # torchvision's BasicBlock refuses a dilation in its constructor, hence afterwards.
    if conv.kernel_size == (3, 3):
        conv.dilation = conv.padding = (dilation, dilation)


def initialise(net: nn.Module) -> None:
    """Draw the convolutions' weights from He's normal distribution, as torchvision does."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def load_imagenet(net: nn.Module, weights: WeightsEnum, width: int) -> None:
    """Load torchvision's ImageNet weights into a backbone, leaving out the classifier.

    ValueError when the backbone is narrower than the published one, or the weights can be neither
    found in torch's cache nor fetched.
    """
    if width != FULL_WIDTH:
        raise ValueError(
            f"ImageNet weights exist for width {FULL_WIDTH} only, not {width}; "
            "run with --no-pretrained or at full width"
        )
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"ImageNet weights {weights.url} cannot be fetched ({error}); "
            "connect to the network, fill torch's cache or run with --no-pretrained"
        ) from error
    ours = net.state_dict()
    net.load_state_dict({key: value for key, value in state.items() if key in ours})
