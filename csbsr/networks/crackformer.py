"""CrackFormer-II (Liu et al. 2021): a SegNet of transformer bottlenecks with five side outputs."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from csbsr.networks.blocks import SegmentationOutput, probability
from csbsr.networks.segmentation import apply_blur_skip, crop_to, pad_to_multiple, resize

HEADS = 4
KEY_CHANNELS = 16
WINDOW = 7


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with four channels a group; a single group where four do not divide them."""
    return nn.GroupNorm(channels // 4 if channels % 4 == 0 else 1, channels)


def conv_norm(inputs: int, outputs: int, size: int = 1, bias: bool = False) -> nn.Sequential:
    """Chain a convolution that keeps the sides, and group norm."""
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)
    return nn.Sequential(conv, group_norm(outputs))


class LocalAttention(nn.Module):
    """Self-attention by content over the whole image and by position in a 7x7 window.

    The keys and values become one small linear map for the whole image (content) plus one for every
    pixel (position), which the pixel's four queries then read: nothing grows with the square of the
    number of pixels. Features (B, C, h, w) -> (B, C, h, w).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.queries = conv_norm(channels, HEADS * KEY_CHANNELS)
        self.keys = conv_norm(channels, KEY_CHANNELS)
        self.values = conv_norm(channels, channels // HEADS)
        self.position = nn.Parameter(torch.randn(KEY_CHANNELS, 1, 1, WINDOW, WINDOW))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # `to(memory_format=torch.channels_last)` refuses the five axes that the released weights
        # have, so conversions see four of them.
        grad, self.position.grad = self.position.grad, None
        self.position.data = self.position.data.squeeze(1)
        super()._apply(fn, recurse)
        self.position.data = self.position.data.unsqueeze(1)
        if grad is not None:
            self.position.grad = fn(grad.squeeze(1)).unsqueeze(1)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return what the queries read, the heads side by side."""
        queries = self.queries(x).flatten(2).unflatten(1, (HEADS, KEY_CHANNELS))  # (B, 4, 16, hw)
        keys = self.keys(x).flatten(2).softmax(-1)  # (B, 16, hw), sums to 1 over the pixels
        values = self.values(x)  # (B, C/4, h, w)
        content = keys @ values.flatten(2).transpose(1, 2)  # (B, 16, C/4)
        maps = (self.position_maps(values) + content[..., None]).to(queries.dtype)
        out = Read.apply(queries.contiguous(), maps.contiguous())  # (B, 4, C/4, hw)
        return out.flatten(1, 2).unflatten(2, x.shape[-2:])

    def position_maps(self, values: Tensor) -> Tensor:
        """Correlate every value channel with the 16 windows: (B, V, h, w) -> (B, 16, V, hw)."""
        single = values.flatten(0, 1)[:, None]  # (B V, 1, h, w)
        windows = self.position.squeeze(2)  # (16, 1, 7, 7)
        if values.is_cpu:  # faster there with one channel, and for the gradient above all
            single, windows = (
                t.contiguous(memory_format=torch.channels_last) for t in (single, windows)
            )
        maps = F.conv2d(single, windows, padding=WINDOW // 2)
        return maps.unflatten(0, values.shape[:2]).transpose(1, 2).flatten(3)


class Read(torch.autograd.Function):
    """Each pixel's queries (B, H, K, N) applied to its own linear map (B, K, V, N): (B, H, V, N).

    einsum makes a matrix product for every pixel of this, B N of H x K by K x V, which is slow for
    such small ones; here each of the K channels is one product of whole maps.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, queries: Tensor, maps: Tensor) -> Tensor:
        """Sum over the key channels."""
        ctx.save_for_backward(queries, maps)
        out = queries[:, :, 0, None] * maps[:, None, 0]
        for k in range(1, queries.shape[2]):
            out.addcmul_(queries[:, :, k, None], maps[:, None, k])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients with respect to queries and maps."""
        queries, maps = ctx.saved_tensors
        to_queries, to_maps = torch.empty_like(queries), torch.empty_like(maps)
        for k in range(queries.shape[2]):
            torch.sum(gradient * maps[:, None, k], 2, out=to_queries[:, :, k])
            torch.sum(gradient * queries[:, :, k, None], 1, out=to_maps[:, k])
        return to_queries, to_maps


class LocalMLP(nn.Module):
    """Two 1x1 convolutions around a grouped 3x3 one, each normalised, on a quarter of the channels.

    Features (B, C, h, w) -> (B, C, h, w).
    """

    def __init__(self, channels: int, dropout: float = 0.3) -> None:
        super().__init__()
        hidden = channels // 4
        groups = hidden // 4 if hidden % 4 == 0 else 1
        self.first = nn.Conv2d(channels, hidden, 1)
        self.norm1 = group_norm(hidden)
        self.local = nn.Conv2d(hidden, hidden, 3, padding=1, groups=groups)
        self.norm2 = group_norm(hidden)
        self.second = nn.Conv2d(hidden, channels, 1)
        self.norm3 = group_norm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Mix channels and neighbours."""
        x = self.norm2(self.local(self.norm1(self.first(x))))
        return self.dropout(self.norm3(self.second(self.dropout(F.gelu(x)))))


class TransformerBottleneck(nn.Module):
    """Residual bottleneck with a transformer block in the middle, on a quarter of the channels.

    (B, inputs, h, w) -> (B, outputs, h, w).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = max(inputs, outputs) // 4
        self.reduce = conv_norm(inputs, middle)
        self.attention = LocalAttention(middle)
        self.mlp = LocalMLP(middle)
        self.unused_norm = group_norm(middle)  # released but never applied
        self.expand = conv_norm(middle, outputs)
        self.shortcut = (
            nn.Identity() if inputs == outputs else conv_norm(inputs, outputs, bias=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed features."""
        y = F.gelu(self.reduce(x))
        y = y + self.attention(y)
        y = y + self.mlp(y)
        y = F.gelu(self.expand(F.gelu(y)))
        return F.gelu(y + self.shortcut(x))


class SideOutput(nn.Module):
    """Crack logits of one scale from its encoder and decoder features, gated by an attention mask.

    The last features of both sides are joined (`fuse`); the mask comes from all earlier ones.
    """

    def __init__(self, encoded: int, decoded: int, width: int) -> None:
        super().__init__()
        self.mask = nn.Sequential(
            conv_norm(encoded, width, 3, bias=True), conv_norm(width, width, 3, bias=True)
        )
        self.fuse = nn.Conv2d(encoded + decoded, width, 3, padding=1)
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, encoded: list[Tensor], decoded: list[Tensor]) -> Tensor:
        """Return the gated features (B, width, h, w); `head` turns them into logits."""
        mask = torch.sigmoid(self.mask(F.gelu(sum(encoded[:-1] + decoded[:-1]))))
        return F.relu(self.fuse(torch.cat([encoded[-1], decoded[-1]], dim=1))) * mask


class CrackFormer(nn.Module):
    """Crack segmentation by CrackFormer (Sec. IV-B-1, Table II). Not pre-trained.

    Five scales down and up as in SegNet, with side outputs at each. `width` (64) scales every layer
    and must be divisible by 16. `repeat_second` keeps a defect of the released encoder: at
    scales 3 to 5 the second block is applied twice and the third, though it has parameters, never.
    Images (B, 3, H, W) -> prob (B, 1, H, W) and aux (B, 5, H, W), the side outputs from the
    coarsest to the finest. `blur_skip` sees the finest side's `skip_channels` = width features at
    H x W. Sides that are not multiples of 32 are padded and cropped back.
    ValueError for a width that is not divisible by 16.
    """

    def __init__(
        self, width: int = 64, repeat_second: bool = True, blur_skip: nn.Module | None = None
    ) -> None:
        super().__init__()
        if width % 16:
            raise ValueError(f"CrackFormer's width {width} must be divisible by 16")
        widths = [width * factor for factor in (1, 2, 4, 8, 8)]
        depths = (2, 2, 3, 3, 3)
        self.repeat_second = repeat_second
        self.encoder = nn.ModuleList(
            [
                nn.ModuleList(
                    [
                        nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU()),
                        TransformerBottleneck(width, width),
                    ]
                )
            ]
        )
        for inputs, outputs, depth in zip(widths, widths[1:], depths[1:]):
            steps = [inputs] + [outputs] * depth
            self.encoder.append(bottlenecks(steps))
        self.decoder = nn.ModuleList()
        self.sides = nn.ModuleList()
        for channels, outputs, depth in zip(widths, [width, *widths], depths):
            self.decoder.append(bottlenecks([channels] * depth + [outputs]))
            self.sides.append(SideOutput(channels, outputs, width))
        self.blur_skip = blur_skip
        self.skip_channels = width
        self.head = nn.Conv2d(len(widths), 1, 1)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        """Segment images; `kernel` (B, 441) is used by the blur skip only."""
        padded = pad_to_multiple(x, 32)
        features, encoded, places = padded, [], []
        for blocks in self.encoder:
            first, second, *third = blocks
            order = (first, second, second) if third and self.repeat_second else blocks
            encoded.append(apply_each(order, features))  # depth times (B, C_i, h, w)
            features, place = F.max_pool2d(encoded[-1][-1], 2, return_indices=True)
            places.append(place)  # (B, C_i, h/2, w/2), of int64
        logits = []
        for scale in reversed(range(len(encoded))):
            unpooled = F.max_unpool2d(features, places[scale], 2)
            decoded = apply_each(self.decoder[scale], unpooled)
            features = decoded[-1]  # (B, C_{i-1}, h, w)
            side = self.sides[scale]
            gated = side(encoded[scale], decoded)  # (B, width, h, w)
            if scale == 0:
                gated = apply_blur_skip(self.blur_skip, gated, kernel)
            logits.append(resize(side.head(gated), padded.shape[-2:]))
        sides = torch.cat(logits, dim=1)  # (B, 5, H, W)
        prob, aux = probability(self.head(sides)), probability(sides)
        return SegmentationOutput(crop_to(prob, x), crop_to(aux, x))


def bottlenecks(channels: list[int]) -> nn.ModuleList:
    """List transformer bottlenecks from channels[0] to channels[-1]."""
    return nn.ModuleList(TransformerBottleneck(a, b) for a, b in pairwise(channels))


def apply_each(blocks: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """Apply blocks one after another and return the result of each."""
    results = []
    for block in blocks:
        x = block(x)
        results.append(x)
    return results
