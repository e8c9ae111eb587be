"""The command line with a cut of MNIST in place of the whole, for a process of its own."""

import numpy as np

from lamplighter.cli import main
from lamplighter.datasets.image_data import ImageData

whole = ImageData.mnist


def cut() -> ImageData:
    """The first 512 training and 256 test images."""
    data = whole()
    splits = {
        name: data[name].take(np.arange(count)) for name, count in (("train", 512), ("test", 256))
    }
    return ImageData(splits, data.class_names, preprocessing=data.preprocessing, name="tiny-digits")


if __name__ == "__main__":
    ImageData.mnist = cut
    main()
