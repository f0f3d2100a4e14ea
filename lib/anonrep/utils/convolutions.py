"""What makes small convolutions fast on a processor: one channel in or out, and the channels-last layout kept."""

from torch import Tensor, nn


def halved(size: int) -> int:
    """The side that a 3 x 3 convolution of stride 2 and padding 1 leaves."""
    return (size + 1) // 2


def cropped(image: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) without the last rows and columns that are too many: (B, C, height, width).

    As padding by a negative number: its gradient keeps the channels-last layout. That of a slice does not, and the
    layers before it would take twice as long. Padding by 0 would copy the image.
    """
    if image.shape[2:] == (height, width):
        return image
    return nn.functional.pad(image, (0, width - image.shape[3], 0, height - image.shape[2]))


class FromOneChannel(nn.Conv2d):
    """A convolution of one channel; where the image wants a gradient, a matrix product over its patches.

    The same sums as PyTorch's own, whose gradient on a single channel takes several times as long. `unfold` is given
    the images as the channels of a single image, which cuts all of them at once.
    """

    def forward(self, image: Tensor) -> Tensor:
        if not image.requires_grad:
            return super().forward(image)
        (kernel, _), (stride, _), (padding, _) = self.kernel_size, self.stride, self.padding
        size = [(side + 2 * padding - kernel) // stride + 1 for side in image.shape[2:]]
        patches = nn.functional.unfold(image.transpose(0, 1), kernel, padding=padding, stride=stride)
        patches = patches.unflatten(1, (len(image), -1)).squeeze(0).transpose(0, 1).flatten(1)  # (k * k, B * H * W)
        flat = nn.functional.linear(patches.T, self.weight.flatten(1), self.bias)
        return flat.unflatten(0, (len(image), *size)).permute(0, 3, 1, 2)


class ToOneChannel(nn.ConvTranspose2d):
    """A transposed convolution to one channel, as a matrix product and a sum of overlapping patches.

    The same sums as PyTorch's own, which takes twice as long for a single channel.
    """

    def forward(self, image: Tensor) -> Tensor:
        patches = image.permute(0, 2, 3, 1).flatten(1, 2) @ self.weight.flatten(1)  # (B, H * W, k * k)
        (kernel, _), (stride, _), (padding, _) = self.kernel_size, self.stride, self.padding
        size = [(side - 1) * stride - 2 * padding + kernel for side in image.shape[2:]]
        image = nn.functional.fold(patches.transpose(1, 2), size, kernel, padding=padding, stride=stride)
        return image + self.bias


class Flatten(nn.Flatten):
    """(B, C, H, W) -> (B, H * W * C), pixel by pixel: the order of the channels-last layout, so that nothing moves.

    PyTorch's own, channel by channel, would copy the image, and its gradient, from the one layout to the other.
    """

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image.permute(0, 2, 3, 1))
