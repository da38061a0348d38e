"""What every segmentation network shares: images of any size, and the blur skip before the head."""

from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.blocks import check_image


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Repeat the right and bottom edges until both sides are divisible by `multiple`.

    Images (B, C, H, W) whose sides already fit are returned as they are, so that the released
    networks' results are unchanged; otherwise (B, C, H', W') with H' - H and W' - W < multiple.
    ValueError for anything but a batch of RGB images.
    """
    check_image(images, "segmentation network")
    height, width = images.shape[-2:]
    down, right = -height % multiple, -width % multiple
    return F.pad(images, (0, right, 0, down), mode="replicate") if down or right else images


def crop_to(maps: Tensor, like: Tensor) -> Tensor:
    """Undo `pad_to_multiple`: cut maps (B, C, H', W') to the sides of the images `like`."""
    height, width = like.shape[-2:]
    return maps[..., :height, :width]


def resize(maps: Tensor, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Resize maps (B, C, h, w) bilinearly to `size` = (H, W)."""
    return F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)


def apply_blur_skip(blur_skip: nn.Module | None, features: Tensor, kernel: Tensor | None) -> Tensor:
    """Return blur_skip(features, kernel), or the features if there is no skip (Sec. III-D).

    Features (B, C, H, W); kernel (B, 441) or any form that `BlurSkip` understands, ignored by a
    network without a blur skip. ValueError when there is a skip and no kernel.
    """
    if blur_skip is None:
        return features
    if kernel is None:
        raise ValueError(
            "this network has a blur skip and was called without a kernel; pass kernel=(B, 441)"
        )
    return blur_skip(features, kernel)


def refuse_single_image(net: nn.Module, images: Tensor) -> None:
    """Raise ValueError where batch norm on per-image vectors would have one value to normalise.

    Applies in training mode to networks that pool the whole image (OCR's object, ASPP's mean).
    """
    if net.training and len(images) < 2:
        raise ValueError(
            f"{type(net).__name__} trains on batches of two images or more (it normalises "
            "per-image vectors over the batch); raise the batch size or call eval()"
        )
