"""How large images must be."""

from __future__ import annotations

from lamplighter.errors import ShapeError


def shrink(img_size: tuple[int, int], *stages: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width left by stages of an unpadded convolution and a pooling.

    Args:
        img_size: height and width before the first stage.
        stages: (kernel size, pool size) of each stage.

    Raises:
        ShapeError: nothing is left.
    """
    height, width = img_size
    for kernel, pool in stages:
        height, width = (height - kernel + 1) // pool, (width - kernel + 1) // pool
        if height < 1 or width < 1:
            raise ShapeError(
                f"images of {img_size[0]} x {img_size[1]} are too small for this network: nothing "
                f"is left after a {kernel}x{kernel} convolution and {pool}x{pool} pooling; "
                "use larger images."
            )
    return height, width
