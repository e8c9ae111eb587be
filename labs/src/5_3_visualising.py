# %% [markdown]
# # 5.3 Visualising convolutional networks
#
# The network of this lab, which reads digits, is some sixty thousand numbers. Nobody told them what
# a 7 looks like, and nobody can read it off them. Here you make visible what they do, in four ways.
#
# **You will learn** to
#
# - draw the filters of a convolution, and say what can and cannot be read off them;
# - catch the feature maps of any layer with a hook, and leave no trace in the network;
# - find the image that a class likes best, and explain why it first comes out as noise;
# - mark the pixels that an answer rests on, and test whether such a map may be believed.
#
# **You need** lab 5.1 (convolution, channel, logit, training) and some PyTorch: tensors, and that
# PyTorch can compute gradients. The digits of MNIST come with Lamplighter. A file
# `better-cnn.lamp` from lab 5.1 is used if it lies beside this notebook; no harm if not.
#
# **Time**: about two hours. The machine itself computes for two or three
# minutes of that.

# %%
import copy
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import lamplighter
from lamplighter import Classifier, ImageData, Split, Trial, objectives


def draw(pictures, titles, heading, columns=10, scale=(0, 1)):
    """Draw small pictures (N, H, W) side by side; (None, None) scales each for itself."""
    rows = -(-len(pictures) // columns)  # rounded up
    size = (0.95 * columns, 1.2 * rows + 0.35)
    figure, cells = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for cell in cells.flat:
        cell.axis("off")
    for cell, picture, title in zip(cells.flat, pictures, titles, strict=False):
        cell.imshow(picture, cmap="gray", vmin=scale[0], vmax=scale[1])
        cell.set_title(title, fontsize=9)
    figure.suptitle(heading, fontsize=11)
    plt.show()


# %% [markdown]
# ## A network to look into
#
# First we need something to look at: the BetterCNN of lab 5.1, with two convolutions. Two epochs
# (the network sees all training images twice) are enough here. The pixels go in as they are,
# between 0 (black) and 1 (white), with no shifting or stretching. That is what `mean=0` and
# `std=1` say. It will make things simpler when we change pixels ourselves.
#
# We also keep a copy of the network from before the training. The score comes with an interval:
# with other test images of the same kind it would probably have come out within its ends. Then
# follow the layers, with what each gives for one image and how many numbers it has learned
# (`features` and `hidden` only hold the layers below them). By the names on the left we shall ask
# for a layer.

# %% long=true seconds=300
torch.manual_seed(7)
digits = ImageData.mnist()
plain = replace(digits.preprocessing, mean=(0.0,), std=(1.0,))
classifier = Classifier.new("better-cnn", digits, preprocessing=plain)
network = classifier.network.to(memory_format=torch.channels_last)  # quicker on a processor
untrained = copy.deepcopy(network)

trainloader = digits.batches("train", 128, preprocessing=plain)
testloader = digits.batches("test", 128, preprocessing=plain)
optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
loss_function = nn.CrossEntropyLoss()
trial = Trial(network, optimiser, loss_function, metrics=["loss", "accuracy"], verbose=0).to("cpu")
trial.with_generators(trainloader, test_generator=testloader)
trial.run(epochs=2)
results = trial.evaluate(data_key=lamplighter.TEST_DATA)
right = round(results["test_acc"] * len(digits["test"]))
print("right in", lamplighter.wilson(right, len(digits["test"])), "of the test images\n")
for layer in lamplighter.layers(classifier):
    shape = " x ".join(map(str, layer.output_shape))
    print(f"{layer.name:<12} {layer.kind:<10} gives {shape:<14} has learned {layer.parameters:,}")

# %% [markdown]
# ## 1. Filters
#
# A convolution slides small grids of weights over its input. Each grid is a **filter** (another
# word is kernel). At every place the filter multiplies its weights with the values beneath it and
# adds up. Where the input looks like the filter, the sum is large.
#
# All filters of a layer are in one tensor, `layer.weight`, of shape *(filters, channels they see,
# height, width)*. The first convolution sees the grey image, so its filters are small grey
# images themselves, and we can simply draw them.
#
# **Exercise 5.3-a** Complete two functions.
#
# `first_filters`: `network.modules()` walks through all layers in their order, also through those
# inside of other layers. `.detach()` takes a tensor out of PyTorch's book-keeping for gradients,
# `.numpy()` makes an array of it. Beware: this array and the network share their memory. Return a
# copy, so that whoever changes the picture does not change the network.
#
# `as_pictures`: weights may be negative, grey values may not. A weight of 0 becomes mid-grey, 0.5;
# positive weights are brighter and negative ones darker. The weight that is farthest from 0, *of
# all filters together*, becomes 1 if it is positive and 0 if it is negative. One scale for all:
# a filter with weak weights shall look weak.


# %% exercise="5.3-a" points=3 seconds=20
def first_filters(network):
    """Return the weights of a network's first `nn.Conv2d` as an array (filters, channels, h, w)."""
    ### BEGIN SOLUTION
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    return convolutions[0].weight.detach().cpu().numpy().copy()
    ### END SOLUTION


def as_pictures(filters):
    """Return weights as grey values 0..1 with 0 in the middle, all on one scale."""
    ### BEGIN SOLUTION
    return 0.5 + filters / (2 * np.abs(filters).max())
    ### END SOLUTION


# %% tests="5.3-a" points=2 seconds=30
print(first_filters(network).shape)  # how many filters, of how many channels, how large?
### BEGIN HIDDEN TESTS
import numpy as np
import torch

BUILD = """
from torch import nn
inside = nn.Sequential(nn.Identity(), nn.Conv2d(3, 5, (4, 2)), nn.ReLU(), nn.Conv2d(5, 6, 3))
net = nn.Sequential(inside, nn.Flatten(), nn.Conv1d(1, 1, 1))
with torch.no_grad():
    inside[1].weight.copy_(wanted)
"""
wanted = torch.linspace(-1, 1, 5 * 3 * 4 * 2).reshape(5, 3, 4, 2)
seen = learner(BUILD + "first_filters(net)", wanted=wanted)
assert isinstance(seen, np.ndarray), f"expected a numpy array, saw a {type(seen).__name__}"
assert seen.shape == (5, 3, 4, 2), (
    "in a network whose first convolution has 5 filters of 4 x 2 over 3 channels, expected the "
    f"shape (5, 3, 4, 2), saw {seen.shape}"
)
assert np.allclose(seen, wanted.numpy()), "the shape is right, but these are not its weights"

CODE = """
from torch import nn
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
found = first_filters(net)
assert found.shape == (2, 1, 3, 3)
before = net[0].weight.detach().clone()
found += 1
(before, net[0].weight)
"""
before, after = learner(CODE)
assert torch.equal(before, after), (
    "a picture was made brighter, and the network's weights changed with it: expected a copy"
)
### END HIDDEN TESTS

# %% tests="5.3-a" points=1 seconds=20
print(as_pictures(np.array([-2.0, 0.0, 1.0])))  # expect 0, 0.5 and 0.75
### BEGIN HIDDEN TESTS
import numpy as np

for largest in (-4.0, 0.5):
    weights = np.linspace(-0.25, 0.25, 2 * 1 * 3 * 3).reshape(2, 1, 3, 3).astype(np.float32)
    weights[1, 0, 2, 2] = largest
    weights[0, 0, 0, 0] = 0
    seen = np.asarray(learner("as_pictures(weights)", weights=weights))
    assert seen.shape == weights.shape, f"expected the shape {weights.shape}, saw {seen.shape}"
    assert abs(seen[0, 0, 0, 0] - 0.5) < 1e-5, (
        f"for a weight of 0 expected mid-grey, 0.5, saw {seen[0, 0, 0, 0]:.3g}"
    )
    end = float(largest > 0)
    assert abs(seen[1, 0, 2, 2] - end) < 1e-5, (
        f"where the farthest weight of all is {largest:g} expected it as {end:g}, "
        f"saw {seen[1, 0, 2, 2]:.3g}"
    )
    expected = 0.5 + 0.5 * weights / abs(largest)
    assert np.allclose(seen, expected, atol=1e-5), (
        "both filters must be on one scale: expected grey values in proportion to the weights, "
        f"saw {seen[0].min():.3g} to {seen[0].max():.3g} for the weaker filter"
    )
### END HIDDEN TESTS

# %% grading="skip"
both = as_pictures(np.stack([first_filters(which) for which in (untrained, network)]))
for name, pictures in zip(["before", "after"], both, strict=True):
    draw(pictures[:15, 0], range(15), f"The first filters {name} the training", columns=15)

# %% grading="skip"
# Lamplighter has them as well, and draws them all.
same = np.array_equal(first_filters(network), lamplighter.filters(classifier))
print("your filters and Lamplighter's are", "the same" if same else "different")
lamplighter.plot_filters(classifier)

# %% [markdown] question="5.3-q1" points=2
# **5.3-q1** Before the training the filters are faint noise. Look at them after it. What do they
# look for? Describe two kinds of filters that you see, and say for each in which part of a digit
# its answer would be large. And what would a filter do whose weights are all the same positive
# number?
#
# <!-- BEGIN SOLUTION -->
# Many filters have a bright side and a dark side with a fairly straight border between them: they
# look for edges, where bright ink meets the dark ground, in the direction of that border. Such a
# filter answers strongly along one side of a stroke, as the left side of a 1, and not at all
# inside of a plain area, where its positive and negative parts cancel. Others have a bright band
# with dark on both sides: they look for a stroke of about that width and direction, as the bar of
# a 7. Equal positive weights add up the ink beneath them: such a filter blurs, and answers wherever
# there is much ink, whatever its shape. (Many filters are still faint: part of the noise of the
# start is left after two epochs, and not every filter has a meaning.)
# <!-- END SOLUTION -->

# %% [markdown]
# ### Deeper filters
#
# The filters of the second convolution do not see the image. They see the 30 channels that the
# first one made. So each of them is not one small picture but 30, one for each channel that it
# sees. In the next picture a row is a filter, and a column a channel of the first convolution.
# Red weights ask for that channel, blue weights want it absent.

# %% grading="skip"
lamplighter.plot_filters(classifier, "features.3")

# %% [markdown]
# Can you say what filter 4 looks for? Hardly anyone can. It depends on what all 30 channels mean,
# and each matters a little. Filters can be read in the first layer only. For the others we need
# to see them at work.
#
# ## 2. Feature maps
#
# A **feature map** is what one filter makes of one image: a value for each place, and large where
# the filter found what it looks for. A layer gives one map for each of its channels.
#
# When you call `network(images)` you get the last result alone; what the layers in between
# gave is thrown away. To catch it, PyTorch has **hooks**. A hook is a function of yours that
# PyTorch calls each time when a layer has done its work:

# %%
layer = nn.Linear(2, 1)


def tell(layer, inputs, output):
    print("the hook saw an output of shape", tuple(output.shape))


handle = layer.register_forward_hook(tell)
layer(torch.zeros(5, 2))  # with the hook
handle.remove()
layer(torch.zeros(5, 2))  # without
print("hooks that are left:", len(layer._forward_hooks))

# %% [markdown]
# `register_forward_hook` returns a handle, and `handle.remove()` takes the hook off again. A hook
# that is forgotten goes on: it is called in every later forward pass (a pass of images through
# the network), in training too. What it collects fills the memory, and if you run your cell twice
# there are two of them.
#
# The trap is an error. If the forward pass raises one, because the images have a wrong size
# say, the lines after it are skipped, and with them `handle.remove()`. Python has two ways to do
# something in any case: `try: ... finally: ...`, and a context manager (`with`).
#
# **Exercise 5.3-b** Complete `my_feature_maps`. Layers are found by name with
# `network.get_submodule("features.0")`. Compute without gradients (`torch.no_grad()`). Remove the
# hook in any case; but do not swallow an error, whoever called you needs to hear of it.


# %% exercise="5.3-b" points=4 seconds=20
def my_feature_maps(network, layer, images):
    """Return what the layer of this name gives for `images` (N, C, H, W), as a tensor."""
    ### BEGIN SOLUTION
    caught = []

    def keep(module, inputs, output):
        caught.append(output.detach().clone())  # a copy: a later layer may overwrite its input

    handle = network.get_submodule(layer).register_forward_hook(keep)
    try:
        with torch.no_grad():
            network(images)
    finally:
        handle.remove()
    return caught[0]
    ### END SOLUTION


# %% tests="5.3-b" points=3 seconds=30
print(my_feature_maps(network, "features.2", torch.zeros(4, 1, 28, 28)).shape)  # (4, 30, 12, 12)
### BEGIN HIDDEN TESTS
import torch
from torch import nn

BUILD = """
from torch import nn
net = nn.Sequential(
    nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh()), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
).eval()
net.load_state_dict(weights)
"""
torch.manual_seed(1)
net = nn.Sequential(
    nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh()), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
).eval()
images = torch.rand(3, 2, 8, 8)
with torch.no_grad():
    convolved = net[0][0](images)
    pooled = net[1](net[0](images))
for layer, what, expected in [
    ("0.0", "a convolution within another layer", convolved),
    ("0", "a layer that holds two others", convolved.tanh()),
    ("1", "a pooling layer", pooled),
    ("3", "the last layer", net(images).detach()),
]:
    seen = learner(
        BUILD + "my_feature_maps(net, layer, images)",
        weights=net.state_dict(), layer=layer, images=images,
    )  # fmt: skip
    assert isinstance(seen, torch.Tensor), (
        f"for {what} expected a tensor, saw a {type(seen).__name__}"
    )
    assert seen.shape == expected.shape, (
        f"for {what} and 3 images expected the shape {tuple(expected.shape)}, "
        f"saw {tuple(seen.shape)}"
    )
    assert torch.allclose(seen, expected, atol=1e-5), (
        f"for {what} the shape is right, but the values are not what this layer gives"
    )

CODE = """
from torch import nn
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
def count():
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())
found = [my_feature_maps(net, name, torch.rand(2, 1, 6, 6)) for name in ("0", "1", "1")]
(len(found[-1]), count())
"""
images, left = learner(CODE)
assert images == 2, f"of 2 images expected the maps of 2, saw {images}"
assert left == 0, f"after three calls expected a network without hooks, saw {left} that are left"
### END HIDDEN TESTS

# %% tests="5.3-b" points=1 seconds=30
print(sum(len(m._forward_hooks) for m in network.modules()), "hooks are left")  # 0
### BEGIN HIDDEN TESTS
CODE = """
from torch import nn
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
def count():
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())
told = "nothing"
try:
    my_feature_maps(net, "1", torch.rand(2, 1, 9, 9))
except Exception as error:
    told = type(error).__name__
works = list(my_feature_maps(net, "1", torch.rand(2, 1, 6, 6)).shape)
(told, count(), works)
"""
told, left, works = learner(CODE)
assert works == [2, 2, 4, 4], f"expected the maps of a ReLU, (2, 2, 4, 4), saw {works}"
assert told == "RuntimeError", (
    "images of a wrong size make the network raise RuntimeError; expected that the caller hears "
    f"of it, saw {told}"
)
assert left == 0, (
    "when the forward pass raised an error (images of a wrong size), expected that no hook "
    f"is left, saw {left}"
)
### END HIDDEN TESTS

# %% [markdown]
# Now look at a digit through the first convolution. White stands for large values and black for
# negative ones: what the filter looks for, and the contrary of it. Compare some of the maps with
# the filters of the same number above.

# %%
network.eval()
pixels = digits["test"].images[:16]  # 0 to 255, shape (16, 1, 28, 28)
labels = digits["test"].labels[:16]
images = torch.from_numpy(plain.normalise(pixels))  # 0 to 1, as the network takes them

maps = my_feature_maps(network, "features.0", images)[0]
end = float(maps.abs().max())
draw(maps, range(30), f"What the 30 filters of features.0 find in a {labels[0]}", scale=(-end, end))

# %% [markdown]
# Further in, the maps can be checked against Lamplighter's, which also draws them: here of
# `features.4`, the ReLU after the second convolution. This time dark violet is 0, and yellow the
# largest.

# %% grading="skip"
mine = my_feature_maps(network, "features.4", images[:1])[0].numpy()
ours = lamplighter.feature_maps(classifier, pixels[0], "features.4")
print("largest difference between your maps and Lamplighter's:", np.abs(mine - ours).max())
lamplighter.plot_feature_maps(classifier, pixels[0], "features.4")

# %% [markdown]
# In `features.4` the maps are smaller (10 x 10), and most of their places are 0: ReLU has cut off
# what was negative. Each channel has become choosy. Some answer to the bar of the 7 and to little
# else, some to its slanting stroke. A map that is all dark can mean that what the filter looks for
# is not in this image, or that the filter has learned nothing. If there is one, look at its row in
# the picture of the filters: is it paler than the others? (In our run channel 14 was such a one.)
#
# Before you look into a network, call `network.eval()`. See what happens without: the next cell
# looks twice, `once` and `again`, at channels 0 to 4 of `features.6`, with the same image.

# %% grading="skip"
torch.manual_seed(0)
for mode in (True, False):
    network.train(mode)
    looks = [my_feature_maps(network, "features.6", images[:1])[0] for _ in range(2)]
    heading = "in training mode" if mode else "after network.eval()"
    titles = [f"{n}, {look}" for look in ("once", "again") for n in range(5)]
    draw([m for look in looks for m in look[:5]], titles, f"features.6 {heading}", scale=(0, 6))

# %% [markdown] question="5.3-q2" points=1
# **5.3-q2** Why must `eval()` be on when you look at maps of a network, or use it? `features.6` is
# a dropout layer. Other networks have layers of **batch normalisation**: they shift and stretch
# values by a mean and a spread, in training by those of the batch at hand, after `eval()` by
# running averages that were kept in training. What would go wrong with these in training mode?
#
# <!-- BEGIN SOLUTION -->
# In training mode dropout sets random values to 0 (and enlarges the others to make up for it), so
# the same image gives other maps, and other answers, each time: we should be looking at chance.
# With batch normalisation what we see of an image would depend on the images that are beside it in
# the batch, and every look would even change the running averages that the network keeps.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 3. The image that a class likes best
#
# Filters and maps tell what a network does with an image of ours. Now the other way round: which
# image would the network itself draw for a 7? Training changes the weights and leaves the images
# alone. **Activation maximisation** leaves the weights alone and changes the image, so that the
# logit of a class (its score before the softmax) becomes as large as possible (D. Erhan,
# Y. Bengio, A. Courville and P. Vincent, 2009, Université de Montréal, report 1341).
#
# The tool is the **gradient** of that logit. It tells for each pixel how much the logit grows if
# the pixel becomes a little brighter. Take a step in that direction, ask anew, and so on:
#
# $$\text{image} \leftarrow \text{image} + \text{rate} \cdot
# \frac{\partial\, \text{logit of the class}}{\partial\, \text{image}}$$
#
# It is called gradient *ascent*, as it climbs. In training you went downhill, on the loss.
#
# **Exercise 5.3-c** Complete `ascend`.
#
# - The network takes a batch; `image[None]` makes one of a single image.
# - Take the gradient of the *logit* of class `target`. The image must be told that you want one:
#   `image.requires_grad_()`; then `torch.autograd.grad(logit, image)` returns a tuple with it.
# - After each step bring the pixels back between 0 and 1 (`clamp`), and begin the next step with
#   a fresh tensor: `.detach()`.
# - The image you were given, and the network, shall stay as they are.


# %% exercise="5.3-c" points=3 seconds=20
def ascend(network, image, target, steps=50, rate=0.1):
    """Return `image` (1, H, W) after so many steps that make the logit of `target` larger."""
    ### BEGIN SOLUTION
    image = image.detach().clone()
    for _ in range(steps):
        image.requires_grad_()
        logit = network(image[None])[0, target]
        (gradient,) = torch.autograd.grad(logit, image)
        image = (image + rate * gradient).clamp(0, 1).detach()
    return image
    ### END SOLUTION


# %% tests="5.3-c" seconds=30
start = torch.full((1, 28, 28), 0.5)
before, after = (network(x[None])[0, 7].item() for x in (start, ascend(network, start, 7)))
print(f"logit of the 7: {before:.1f} before, {after:.1f} after")
### BEGIN HIDDEN TESTS
import torch
from torch import nn

BUILD = """
from torch import nn
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).eval()
net.load_state_dict(weights)
"""


def climbed(image, target, steps, rate):
    for _ in range(steps):
        image = image.detach().requires_grad_()
        (slope,) = torch.autograd.grad(net(image[None])[0, target], image)
        image = (image + rate * slope).clamp(0, 1)
    return image.detach()


torch.manual_seed(2)
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).eval()
image = 0.3 + 0.4 * torch.rand(1, 6, 6)
cases = [
    (1, 1, 0.2, "one step", "follow the gradient of the logit of the class that is asked for"),
    (0, 5, 0.1, "five small steps", "take the gradient anew in each step, for this step alone"),
    (2, 8, 4.0, "eight large steps", "bring the pixels back between 0 and 1 after each step"),
]
for target, steps, rate, what, rule in cases:
    seen = learner(
        BUILD + "ascend(net, image, target, steps=steps, rate=rate)",
        weights=net.state_dict(), image=image, target=target, steps=steps, rate=rate,
    )  # fmt: skip
    assert isinstance(seen, torch.Tensor) and seen.shape == (1, 6, 6), (
        f"after {what} expected a tensor of shape (1, 6, 6), "
        f"saw {tuple(seen.shape) if isinstance(seen, torch.Tensor) else type(seen).__name__}"
    )
    first, last = (net(x[None])[0, target].item() for x in (image, seen))
    assert last > first, (
        f"after {what} expected a larger logit of the class, saw {first:.3f} become {last:.3f}"
    )
    assert seen.min() >= 0 and seen.max() <= 1, (
        f"after {what} expected pixels within 0..1, saw {seen.min():.2f} to {seen.max():.2f}"
    )
    gap = float((seen - climbed(image, target, steps, rate)).abs().max())
    assert gap < 1e-3, (
        f"after {what} the image is not where plain gradient ascent leads (pixels differ by up "
        f"to {gap:.3f}): {rule}"
    )

CODE = """
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).eval()
weights = torch.cat([w.detach().clone().flatten() for w in net.parameters()])
image = torch.full((1, 6, 6), 0.5)
found = ascend(net, image, 1, steps=3, rate=0.5)
after = torch.cat([w.detach().flatten() for w in net.parameters()])
(image, found, weights, after)
"""
image, found, weights, after = learner(CODE)
assert torch.equal(weights, after), "expected a network that stays as it is, saw other weights"
assert not torch.equal(found, torch.full((1, 6, 6), 0.5)), "expected a changed image, saw the same"
assert torch.equal(image, torch.full((1, 6, 6), 0.5)), (
    "expected that the image that was given stays as it is, saw that it has changed as well"
)
### END HIDDEN TESTS

# %% grading="skip"
# Ten times, once for each digit, and each time from the same random pixels.
torch.manual_seed(1)
start = torch.rand(1, 28, 28)
by_pixels = torch.stack([ascend(network, start, digit, steps=30) for digit in range(10)])
with torch.no_grad():
    sure = network(by_pixels).softmax(1).diagonal()
titles = [f"{digit}: {share:.1%}" for digit, share in enumerate(sure.tolist())]
draw(by_pixels[:, 0], titles, "30 steps of plain gradient ascent towards each class")

# %% [markdown]
# Above each picture stands the class and its probability, as the network sees it. Is the exercise
# broken? No: the ascent did what it was asked, and the network is nearly certain of every one. If
# you climb on (try `steps=200`), strokes come through the noise. But the network did not wait for
# them.
#
# Now the same with a real digit as the start. We take a digit of the test images, and climb towards
# another class, with small steps, until the network has changed its mind.

# %% grading="skip"
real, wrong = images[15], 3
fooled = real
for _ in range(500):
    answer = network(fooled[None]).softmax(1)[0, wrong].item()
    if answer >= 0.9:
        break
    fooled = ascend(network, fooled, wrong, steps=1, rate=0.02)
difference = 0.5 + (fooled - real)[0]
titles = [f"a {labels[15]}", f"{wrong}: {answer:.0%}", "change"]
draw([real[0], fooled[0], difference], titles, "Before, after, and what changed", columns=3)
print(f"a pixel changed by {(fooled - real).abs().mean():.3f} on average, on a scale of 0 to 1")

# %% [markdown]
# You still see the old digit, with some faint stains; the network sees another one. Images that
# were changed a little to deceive a network are called **adversarial** (C. Szegedy and others,
# 2013, arXiv:1312.6199).

# %% [markdown] question="5.3-q3" points=2
# **5.3-q3** The ten pictures above are little more than noise to you, and the network is sure of
# every one. Why does the ascent end in noise and not in a digit? Think of how many images of
# 28 x 28 pixels there are, and of which of them the network has seen in training. What does it
# say about the probabilities that a network gives?
#
# <!-- BEGIN SOLUTION -->
# The network has learned from images of digits alone, a tiny part of all images that 784 pixels
# can make. There it learned to tell the classes apart; how it answers elsewhere nobody has ever
# asked for. The ascent is free to go anywhere, and hundreds of pixels that each push the logit
# up a little add up to a large score, long before they make a stroke: nothing in the task says
# that neighbouring pixels belong together or that the ground is black. So it finds what this
# network answers to, not what digits look like. A probability of 100 % says that among the ten
# classes this one has by far the largest score. It does not say that the image is a digit at
# all, nor that it is like anything that the network knows.
# <!-- END SOLUTION -->

# %% [markdown]
# ### Ask for an image, not for anything
#
# We can tell the ascent what images are like, by taking something off the score of an image that
# is not like that. This is called **regularisation**. Three simple ones:
#
# - **L2**: take off the sum of all squared pixels. Pixels that do not help become dark.
# - **Total variation**: take off the sum of the differences between each pixel and its neighbours,
#   below and to the right, without their signs. Speckles cost much, strokes and plain areas
#   little (A. Mahendran and A. Vedaldi, 2015, arXiv:1412.0035).
# - **Jitter**: before each step move the image at random by a pixel or two. What is liked only at
#   one exact place is averaged away; what is liked anywhere near grows (C. Olah, A. Mordvintsev
#   and L. Schubert, 2017, doi:10.23915/distill.00007).
#
# **Exercise 5.3-d** Complete `regularised_score`: the logit, less `tv` times the total variation,
# less `l2` times the sum of the squares. We shall climb on it, so it must remain a tensor that
# PyTorch can take the gradient of.


# %% exercise="5.3-d" points=2 seconds=20
def regularised_score(network, image, target, tv=0.0, l2=0.0):
    """Return the logit of class `target` for `image` (1, H, W), less what does not look right."""
    ### BEGIN SOLUTION
    logit = network(image[None])[0, target]
    down = (image[:, 1:] - image[:, :-1]).abs().sum()
    right = (image[:, :, 1:] - image[:, :, :-1]).abs().sum()
    return logit - tv * (down + right) - l2 * image.square().sum()
    ### END SOLUTION


# %% tests="5.3-d" seconds=30
half = torch.cat([torch.zeros(1, 28, 14), torch.ones(1, 28, 14)], dim=2)
scores = [regularised_score(network, half, 7, tv=tv).item() for tv in (0, 1)]
print(scores[0] - scores[1])  # a black and a white half: 28 places where neighbours differ by 1
### BEGIN HIDDEN TESTS
import torch
from torch import nn

BUILD = """
from torch import nn
net = nn.Sequential(nn.Flatten(), nn.Linear(30, 4)).eval()
net.load_state_dict(weights)
"""
torch.manual_seed(3)
net = nn.Sequential(nn.Flatten(), nn.Linear(30, 4)).eval()
image = torch.rand(1, 5, 6)
logit = net(image[None])[0, 2].item()
across = float(image.diff(dim=2).abs().sum())
along = float(image.diff(dim=1).abs().sum())
squares = float((image**2).sum())
for tv, l2, expected, what in [
    (0.0, 0.0, logit, "without tv and l2"),
    (0.0, 0.5, logit - 0.5 * squares, "with l2=0.5"),
    (0.1, 0.0, logit - 0.1 * (across + along), "with tv=0.1"),
    (2.0, 3.0, logit - 2 * (across + along) - 3 * squares, "with tv=2 and l2=3"),
]:
    seen = learner(
        BUILD + "regularised_score(net, image, 2, tv=tv, l2=l2).detach().item()",
        weights=net.state_dict(), image=image, tv=tv, l2=l2,
    )  # fmt: skip
    assert abs(seen - expected) < 1e-3, (
        f"for a random image of 5 x 6 pixels, {what}, expected {expected:.4f}, saw {seen:.4f}"
    )

CODE = """
from torch import nn
net = nn.Sequential(nn.Flatten(), nn.Linear(30, 4)).eval()
net.load_state_dict(weights)
image.requires_grad_()
score = regularised_score(net, image, 2, tv=0.3, l2=0.2)
gradient = None
if torch.is_tensor(score) and score.requires_grad:
    (gradient,) = torch.autograd.grad(score, image)
gradient
"""
torch.manual_seed(4)
net = nn.Sequential(nn.Flatten(), nn.Linear(30, 4)).eval()
image = torch.rand(1, 5, 6)
seen = learner(CODE, weights=net.state_dict(), image=image)
assert seen is not None, "expected a score that PyTorch can take the gradient of, saw one without"
image.requires_grad_()
varied = image.diff(dim=1).abs().sum() + image.diff(dim=2).abs().sum()
score = net(image[None])[0, 2] - 0.3 * varied - 0.2 * (image**2).sum()
(expected,) = torch.autograd.grad(score, image)
assert torch.allclose(seen, expected, atol=1e-4), (
    "the score has a gradient, but not that of the logit, the total variation and the squares "
    f"together: pixels' gradients differ by up to {float((seen - expected).abs().max()):.3f}"
)
### END HIDDEN TESTS


# %%
def ascend_regularised(target, tv=0.0, l2=0.0, jitter=0, steps=100, rate=0.02):
    """Return an image (1, 28, 28) that our network scores high, climbing from random pixels."""
    # The gradient is brought to one size, as the three terms change its size a good deal.
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 28, 28, generator=generator)
    for _ in range(steps):
        image.requires_grad_()
        move = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
        moved = torch.roll(image, move, dims=(1, 2))
        score = regularised_score(network, moved, target, tv=tv, l2=l2)
        (gradient,) = torch.autograd.grad(score, image)
        step = rate * gradient / (gradient.abs().mean() + 1e-8)
        image = (image + step).clamp(0, 1).detach()
    return image


# %% grading="skip"
ways = {
    "plain": {},
    "with L2": {"l2": 0.05},
    "with L2 and total variation": {"l2": 0.05, "tv": 0.05},
    "with L2, total variation and jitter": {"l2": 0.05, "tv": 0.05, "jitter": 2},
}
tamed = {}
for name, way in ways.items():
    tamed[name] = torch.stack([ascend_regularised(digit, **way) for digit in range(10)])
    draw(tamed[name][:, 0], range(10), f"100 steps, {name}")

# %% [markdown]
# The hundred steps went further than your thirty, so strokes show even in the plain ones, among
# much noise. Then each thing that is asked for does its part: L2 darkens the ground, total
# variation takes away the speckles, and jitter some of the stray strokes.
#
# Lamplighter's `maximise` does the same with more care. It climbs in a space of waves
# instead of pixels (few slow waves make a smooth image), turns and scales the image besides
# moving it, and takes several looks in each step.
#
# What is made large is called an **objective**. Objectives can be added and scaled. So you can
# ask for a 7 that is as little of a 1 as possible, for something between a 3 and an 8, or for
# what a single channel answers to: one of those of `features.3`, whose filters nobody could read.
# Above each picture stands the probability of the class that was asked for or, if it was two
# classes or none, the value that was reached.

# %% grading="skip"
ten = lamplighter.maximise(classifier, [str(digit) for digit in range(10)])
lamplighter.plot_maximised(ten, title="What our network takes for the perfect digits")

# %% grading="skip"
aims = [
    objectives.class_("7"),
    objectives.class_("7") - objectives.class_("1"),
    objectives.class_("3") + objectives.class_("8"),
    0.5 * objectives.class_("3") + objectives.class_("8"),
    objectives.channel("features.3", 4),
    objectives.channel("features.3", 11),
]
lamplighter.plot_maximised(lamplighter.maximise(classifier, aims))

# %% [markdown]
# A sum does not always give something in between. A picture that is very much a 3 can make the sum
# of both logits as large as one that is half a 3 and half an 8. And look at the two channels, and
# at their maps (4 and 11) of the 7 above: do they fit? In our run both answered to bright stripes
# that lie level or slant a little, and in their maps the bar of the 7 lit up. So something can be
# said of filters that nobody could read.
#
# ### Does anyone else see a digit in it?
#
# Our network is sure of all of these pictures, but it is no neutral judge: they were made to
# please it. So ask a second network that had no part in it. If your `better-cnn.lamp` of lab 5.1
# lies here it is the judge; if not, another kind of network is trained for one epoch.

# %% long=true grading="skip"
if Path("better-cnn.lamp").exists():
    judge = lamplighter.load("better-cnn.lamp")
    print("the judge is your network of lab 5.1")
else:
    judge = lamplighter.train(digits, recipe="quick", epochs=1, seed=1, verbose=0)
    print("the judge is a", judge.architecture.name)
print("on the test images it is right in", lamplighter.evaluate(judge, digits, "test").accuracy)


def recognised(judge, pictures):
    """Return in which share of ten pictures, uint8 (10, 1, 28, 28), `judge` sees 0, 1, ... 9."""
    made = {"test": Split(pictures, np.arange(10))}
    data = ImageData(made, digits.class_names, preprocessing=digits.preprocessing)
    return lamplighter.evaluate(judge, data, "test").accuracy


as_bytes = {name: (255 * found).round().byte().numpy() for name, found in tamed.items()}
as_bytes = {"30 plain steps": (255 * by_pixels).round().byte().numpy(), **as_bytes}
print(f"\n{'':<36} {'our network':<38} the judge")
for name, pictures in {**as_bytes, "lamplighter.maximise": ten.images}.items():
    own, other = (f"{recognised(who, pictures):.0f}" for who in (classifier, judge))
    print(f"{name:<36} {own:<38} {other}")

# %% [markdown]
# By guessing, the judge would be right in one of ten. Ten pictures are few, so the intervals are
# wide. But the direction is plain: noise that convinces our network says little to the judge, and
# where the ascent was asked for something like an image, the judge sees what was meant. A
# picture that a stranger recognises holds something of the digit itself, not only a weakness of one
# network. It is still a caricature: it shows what speaks for a class, not what digits look like.
#
# ## 4. What does this answer rest on?
#
# The last question is about one image and one answer: *why* did the network say 7? Methods that
# answer it colour the pixels that matter, and are called **attribution**.
#
# The simplest has the gradient again. Where a small change of a pixel moves the logit of the
# class most, up or down, the map is bright: **saliency** (K. Simonyan, A. Vedaldi and A.
# Zisserman, 2013, arXiv:1312.6034). A coloured image has three channels, so three gradients for
# each pixel; the one that is largest without its sign counts.
#
# **Exercise 5.3-e** Complete `my_saliency`. Each image has a target of its own.


# %% exercise="5.3-e" points=3 seconds=20
def my_saliency(network, images, targets):
    """Return maps (N, H, W): how strongly each pixel moves the logit of its image's target.

    `images` are of shape (N, C, H, W), `targets` is a tensor of N class numbers.
    """
    ### BEGIN SOLUTION
    images = images.detach().clone().requires_grad_()
    logits = network(images)  # (N, K)
    chosen = logits[torch.arange(len(images)), targets]  # (N,)
    # Each logit depends on its own image alone, so all gradients can be had from the sum.
    (gradient,) = torch.autograd.grad(chosen.sum(), images)  # (N, C, H, W)
    return gradient.abs().amax(dim=1)
    ### END SOLUTION


# %% tests="5.3-e" seconds=30
print(my_saliency(network, images, torch.from_numpy(labels)).shape)  # one map for each image
### BEGIN HIDDEN TESTS
import torch
from torch import nn

BUILD = """
from torch import nn
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)).eval()
net.load_state_dict(weights)
"""
torch.manual_seed(5)
net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)).eval()
images, targets = torch.rand(4, 1, 5, 6), torch.tensor([2, 0, 1, 2])
seen = learner(
    BUILD + "my_saliency(net, images, targets)",
    weights=net.state_dict(), images=images, targets=targets,
)  # fmt: skip
assert isinstance(seen, torch.Tensor), f"expected a tensor, saw a {type(seen).__name__}"
assert seen.shape == (4, 5, 6), (
    f"for 4 images of 5 x 6 pixels expected the shape (4, 5, 6), saw {tuple(seen.shape)}"
)
assert seen.min() >= 0, f"expected sizes without a sign, saw values down to {seen.min():.3f}"
images.requires_grad_()
logits = net(images)
(own,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), images, retain_graph=True)
(top,) = torch.autograd.grad(logits.amax(1).sum(), images)
assert not torch.allclose(seen, top.abs()[:, 0], atol=1e-5), (
    "expected maps of the targets that were given, saw those of the most probable classes"
)
assert torch.allclose(seen, own.abs()[:, 0], atol=1e-5), (
    "expected the size of the gradient of each image's own target logit, saw other values: "
    f"they differ by up to {float((seen - own.abs()[:, 0]).abs().max()):.4f}"
)

BUILD = """
from torch import nn
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)).eval()
net.load_state_dict(weights)
"""
torch.manual_seed(6)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)).eval()
images, targets = torch.rand(2, 3, 5, 5), torch.tensor([1, 0])
seen = learner(
    BUILD + "my_saliency(net, images, targets)",
    weights=net.state_dict(), images=images, targets=targets,
)  # fmt: skip
images.requires_grad_()
chosen = net(images).gather(1, targets[:, None]).sum()
(slopes,) = torch.autograd.grad(chosen, images)
assert tuple(seen.shape) == (2, 5, 5), (
    f"for 2 colour images of 5 x 5 pixels expected one map each, saw {tuple(seen.shape)}"
)
assert torch.allclose(seen, slopes.abs().amax(1), atol=1e-5), (
    "for colour images expected of the three channels the one whose gradient is largest without "
    "its sign, saw other values"
)
### END HIDDEN TESTS

# %% [markdown]
# Lamplighter's `attribute` takes the name of a method, or a function like yours. These are some of
# its methods, and the question that each one asks:
#
# | method | asks |
# | --- | --- |
# | saliency | which pixels move the score, if they change a little? |
# | SmoothGrad | the same, on average over noisy copies of the image |
# | integrated gradients | how much did each pixel add to the score, on the way from black? |
# | Grad-CAM | where do the last feature maps speak for the class? |
# | occlusion | how far does the score fall, if this part is covered? |
#
# Their papers: D. Smilkov and others, 2017, arXiv:1706.03825; M. Sundararajan, A. Taly and
# Q. Yan, 2017, arXiv:1703.01365; R. R. Selvaraju and others, 2017, arXiv:1610.02391; M. D. Zeiler
# and R. Fergus, 2014, arXiv:1311.2901.

# %% grading="skip"
yours = lamplighter.attribute(classifier, list(pixels[:3]), my_saliency)
ours = lamplighter.attribute(classifier, list(pixels[:3]), "saliency")
gap = np.abs(yours.maps - ours.maps).max()
print("largest difference between your saliency and Lamplighter's:", gap)
names = ["smoothgrad", "integrated-gradients", "grad-cam", "occlusion"]
others = [lamplighter.attribute(classifier, list(pixels[:3]), name) for name in names]
lamplighter.plot_attribution([ours, *others], columns=6)

# %% [markdown]
# Five methods, five pictures of the same answer. The first three colour single pixels. Grad-CAM
# shows a place, no finer than the last maps of 5 x 5 cells. Integrated gradients and occlusion
# have signs: red speaks for the class and blue against it. The maps of a method are scaled together
# to their strongest values (the 99th percentile is the value that 99 % of their pixels stay below),
# so that a bright map does not mean a sure answer.
#
# A clean and sharp picture is convincing. Is it true? Here is one more method. Look at its
# picture before you read on.


# %%
def mystery(network, images, targets):
    """Return maps (N, H, W) ..."""
    wide = nn.functional.pad(images, (1, 1, 1, 1))
    across = wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]
    down = wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]
    return (across.abs() + down.abs()).amax(dim=1)


targets = torch.from_numpy(labels)
shown = torch.cat([method(network, images[:4], targets[:4]) for method in (mystery, my_saliency)])
titles = [f"{name}, {n}" for name in ("mystery", "saliency") for n in labels[:4]]
draw(shown, titles, "Which method would you rather trust?", columns=8, scale=(None, None))

# %% [markdown]
# The mystery is sharp, and follows the strokes. But look at its code. It takes the network and the
# classes, and uses neither of them. It draws the edges of the image, and would draw the same for
# any network and any answer. It explains nothing.
#
# ### A test: make the network forget
#
# J. Adebayo and others (2018, arXiv:1810.03292) proposed a check of one's **sanity**: destroy what
# the network has learned, and see whether the map changes. A map that stays shows the image, not
# the network.
#
# **Exercise 5.3-f** Complete `forget`. Of every parameter (`network.parameters()`) put *all* values
# into a random order, each in its own tensor, so that they are the same numbers as before but
# none in its place. Moving whole filters is not enough: each would still be what it learned. Work
# on a copy (`copy.deepcopy`); change it inside of `with torch.no_grad():`. Helpful:
# `torch.randperm(n)`, `tensor.flatten()`, `tensor.reshape(shape)`, `parameter.copy_(values)`.


# %% exercise="5.3-f" points=2 seconds=20
def forget(network):
    """Return a copy of the network with the values of each parameter in random order."""
    ### BEGIN SOLUTION
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in twin.parameters():
            order = torch.randperm(parameter.numel())
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return twin
    ### END SOLUTION


# %% tests="5.3-f" seconds=30
twin = forget(network)
with torch.no_grad():
    print("right after forgetting:", (twin(images).argmax(1).numpy() == labels).sum(), "of 16")
### BEGIN HIDDEN TESTS
import torch

CODE = """
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(2, 16, 3), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(256, 12)))
before = {name: value.clone() for name, value in net.state_dict().items()}
twin = forget(net)
(before, net.state_dict(), twin.state_dict(), twin(torch.rand(2, 2, 6, 6)).shape)
"""
before, after, twin, shape = learner(CODE)
assert all(torch.equal(before[name], after[name]) for name in before), (
    "expected that the network itself keeps what it learned, saw that its weights changed"
)
assert shape == (2, 12), f"expected a copy that works as a network, saw outputs of {shape}"
for name, own in before.items():
    other = twin[name]
    assert torch.equal(own.flatten().sort()[0], other.flatten().sort()[0]), (
        f"expected of the parameter {name} the same values in another order, saw other values"
    )
    share = float((own == other).float().mean())
    assert share < (0.2 if own.ndim > 1 else 1), (
        f"expected the parameter {name} in random order, saw {share:.0%} of its values where "
        "they were"
    )
    for axis in range(2 if own.ndim > 1 else 0):
        kept, found = (v.transpose(0, axis).flatten(1).tolist() for v in (own, other))
        assert set(map(tuple, kept)) != set(map(tuple, found)), (
            f"of the parameter {name} whole slices were moved, and each is still what it learned: "
            "expected all single values in random order"
        )
        kept, found = ({tuple(sorted(part)) for part in parts} for parts in (kept, found))
        assert kept != found, (
            f"of the parameter {name} each slice was put in order by itself, and has the values "
            "that it had: expected all values of the tensor mixed with one another"
        )
### END HIDDEN TESTS

# %% grading="skip"
# Your saliency and the mystery, of the network that knows and of one that forgot. A correlation of
# 1 means that two maps agree in every pixel; near 0 they have nothing in common.
torch.manual_seed(1)
twin = forget(network)
for method in (my_saliency, mystery):
    pair = [method(who, images, targets).numpy() for who in (network, twin)]
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(*pair, strict=True)]
    print(f"{method.__name__}: correlation {np.mean(alike):.2f} on average of 16 images")
    titles = [f"{n}, {who}" for who in ("knows", "forgot") for n in labels[:4]]
    draw([*pair[0][:4], *pair[1][:4]], titles, method.__name__, columns=8, scale=(None, None))

# %% grading="skip"
# `lamplighter.sanity_check` does it for any method. It compares the order of the pixels rather than
# their values, and draws the weights again where they let no signal through.
methods = ["saliency", "smoothgrad", "integrated-gradients", "grad-cam", "occlusion", mystery]
for method in methods:
    print(lamplighter.sanity_check(classifier, list(pixels), method).verdict)

# %% [markdown] question="5.3-q4" points=2
# **5.3-q4** Why may a map that looks good be wrong? Give two reasons. And what does it mean, and
# what does it *not* mean, when a method passes the test of forgetting?
#
# <!-- BEGIN SOLUTION -->
# A map looks good to us when it marks what we should look at: the strokes. But that is our idea
# of the answer. The network may rest on something else, as a stain in the corner or the width of
# the pen, and then the good-looking map is the wrong one. And a map may copy the image, as the
# mystery does: edges look meaningful whatever the network does. Besides, every map is scaled to
# its own strongest value, so that noise can look as strong as a reason.
#
# When a map changes with the weights, it depends on what the network has learned. That is
# necessary, but not enough: it does not mean that it marks the right pixels. Random numbers that
# are drawn from the weights would pass as well.
# <!-- END SOLUTION -->

# %% [markdown]
# ### A second test: take away what the map marks
#
# If a map is right, the answer should go with the pixels that it marks. So paint them black, those
# with the largest values first, and watch the probability of the class. With a good map it falls
# at once. This is a **deletion curve**; the area below it is a score, and a small one is good.
# The other way round, starting from black and adding the pixels one after the other, gives
# an **insertion curve**, and there a large area is good (V. Petsiuk, A. Das and K. Saenko, 2018,
# arXiv:1806.07421).
#
# **Exercise 5.3-g** Complete `deletion`. It returns `steps + 1` probabilities: with nothing gone,
# with the first 1/`steps` of the pixels gone, and so on, until all are gone. Assume that `steps`
# divides the number of pixels. Helpful: `importance.flatten().argsort(descending=True)`, and
# `.softmax(1)`, which makes probabilities of logits. The image must stay as it is.


# %% exercise="5.3-g" points=3 seconds=20
def deletion(network, image, target, importance, steps=16):
    """Return the probability of `target` as pixels of `image` (1, H, W) are set to 0, in a list.

    The pixels with the largest `importance` (H, W) go first.
    """
    ### BEGIN SOLUTION
    order = importance.flatten().argsort(descending=True)
    found = []
    for step in range(steps + 1):
        gone = order[: len(order) * step // steps]
        holes = image.flatten(1).clone()  # (1, H W)
        holes[:, gone] = 0
        with torch.no_grad():
            logits = network(holes.reshape(1, *image.shape))
        found.append(logits.softmax(1)[0, target].item())
    return found
    ### END SOLUTION


# %% tests="5.3-g" seconds=30
curve = deletion(network, images[0], labels[0], torch.rand(28, 28))
print(len(curve), [round(float(share), 2) for share in curve])
### BEGIN HIDDEN TESTS
import torch
from torch import nn

CODE = """
from torch import nn
net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(108, 4)).eval()
net.load_state_dict(weights)
[float(share) for share in deletion(net, image, target, importance, steps=steps)]
"""
torch.manual_seed(8)
net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(108, 4)).eval()
image = 0.5 + 2 * torch.rand(1, 8, 8)
for target, steps in [(1, 4), (3, 16)]:
    importance = torch.randperm(64).reshape(8, 8).float()
    seen = learner(
        CODE,
        weights=net.state_dict(), image=image, target=target, importance=importance, steps=steps,
    )  # fmt: skip
    kept = [importance < 64 - 64 * step // steps for step in range(steps + 1)]
    least = [importance >= 64 * step // steps for step in range(steps + 1)]
    with torch.no_grad():
        wanted, turned = (
            [net((image * mask)[None]).softmax(1)[0, target].item() for mask in masks]
            for masks in (kept, least)
        )
    assert len(seen) == steps + 1, (
        f"with steps={steps} expected {steps + 1} probabilities, from nothing gone to all gone, "
        f"saw {len(seen)}"
    )
    assert min(seen) >= 0 and max(seen) <= 1, (
        f"expected probabilities within 0..1, saw {min(seen):.2f} to {max(seen):.2f}"
    )
    assert abs(seen[0] - wanted[0]) < 1e-4, (
        f"with nothing gone expected the probability of the whole image, {wanted[0]:.4f}, "
        f"saw {seen[0]:.4f}"
    )
    far = max(abs(a - b) for a, b in zip(seen, turned, strict=True))
    assert far > 1e-4, "the least important pixels go first: expected the most important ones"
    gaps = [abs(a - b) for a, b in zip(seen, wanted, strict=True)]
    worst = gaps.index(max(gaps))
    assert max(gaps) < 1e-4, (
        f"with {worst} of {steps} parts of the pixels gone expected a probability of "
        f"{wanted[worst]:.4f}, saw {seen[worst]:.4f}"
    )

CODE = """
from torch import nn
net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
image = torch.full((1, 4, 4), 0.5)
found = deletion(net, image, 1, torch.arange(16.0).reshape(4, 4), steps=4)
(image, len(found))
"""
image, length = learner(CODE)
assert length == 5, f"with steps=4 expected 5 probabilities, saw {length}"
assert torch.equal(image, torch.full((1, 4, 4), 0.5)), (
    "expected that the image stays as it is, saw that it has changed: of its 16 pixels "
    f"{int((image != 0.5).sum())} have another value"
)
### END HIDDEN TESTS

# %% grading="skip"
# Three orders of the pixels against each other, on 16 digits.
torch.manual_seed(0)
chance = torch.rand(16, 28, 28)
maps = [my_saliency(network, images, targets), mystery(network, images, targets), chance]
names = ["your saliency", "the mystery", "chance"]
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, order, style in zip(names, maps, ["-", "--", ":"], strict=True):
    each = [deletion(network, *one, steps=28) for one in zip(images, labels, order, strict=True)]
    mean = np.mean(each, axis=0)
    area = np.trapezoid(mean, dx=1 / 28)
    label = f"{name}, area {area:.2f}"
    axes.plot(np.linspace(0, 100, 29), 100 * mean, style, linewidth=2, label=label)
axes.set(xlabel="pixels gone, %", ylabel="probability of the class, %", ylim=(0, 105))
axes.set_title("Deletion: mean of 16 digits", fontsize=11)
axes.legend()
plt.show()

# %% [markdown]
# Surprised? The mystery does not ask the network anything, and still it beats chance by far: where
# a digit has edges there is ink, and ground that is black already does not change when it is
# painted black. A method can pass one test and fail the other, which is why there are two.
# `compare_methods` does both for all methods, with intervals. *Gain on chance* is insertion less
# deletion, less the same for pixels in random order. The intervals come from drawing 16 of the 16
# images at random again and again, some twice and some not at all, and seeing how far the mean
# moves: this is called a **bootstrap**.

# %% grading="skip"
compared = ["saliency", "smoothgrad", "integrated-gradients", "grad-cam", "occlusion", mystery]
found = lamplighter.compare_methods(classifier, list(pixels), compared)
print(found)
curves = [curve for score in found.scores for curve in (score.deletion, score.insertion)]
lamplighter.plot_curves(curves)

# %% [markdown] question="5.3-q5" points=2
# **5.3-q5** Read the table. Which method would you believe on this network, and which not, and on
# what grounds? (Mind the intervals.) And what would you still not claim of the one that you
# believe?
#
# <!-- BEGIN SOLUTION -->
# Believe what passes both: a similarity below 0.5 with random weights, and a gain on chance whose
# interval lies above 0. In our run the gain of integrated gradients was the largest, but the
# intervals of the next ones overlap with theirs and widely with each other: 16 images cannot tell
# which of these methods is the best. A method whose interval reaches below 0 is not shown to be
# better than random pixels. Grad-CAM is near that limit, and in our run beyond it: its map of
# 5 x 5 cells is too coarse for thin strokes. The mystery has a good gain and is still not to be
# believed: its similarity is 1, it does not ask the network at all.
#
# Even of the best one cannot claim that its map is the whole truth. The curves look at images with
# holes, which the network has never seen; it was measured on this network and 16 digits, not on
# others; and it tells what the answer rests on, not whether it should rest on that.
# <!-- END SOLUTION -->

# %% [markdown]
# ## What you have seen
#
# | question | look at | mind |
# | --- | --- | --- |
# | what does the first layer look for? | filters | deeper ones cannot be read |
# | what does a layer make of this image? | feature maps | `eval()`, and remove the hook |
# | what does a class answer to? | maximised images | left to itself it is mostly noise |
# | what does this answer rest on? | attribution | test it before you believe it |
#
# ## Going further
#
# - **Your own network.** Copy your class `BetterCNN` of lab 5.1 to the top, load the weights of
#   `better-cnn.pt` into it, and make it a `Classifier(better, plain, digits.class_names)`. Do its
#   filters look for the same? (Its layers have the names that you gave them.)
# - **A planted stain.** Paint a white square of 3 x 3 pixels into the corner of all training images
#   of one class, train again, and ask why it says that class. Now you know the truth: which
#   methods find the stain?
# - **A mistake.** Find a test image that the network gets wrong. Ask `attribute` about the class it
#   said, and with `target=` about the one it should have said.
# - **Colours.** Train a network on `ImageData.emoji()` and draw its first filters, and the emoji
#   that its classes like best.
# - **A deep dream.** `objectives.layer("features.3")` makes all of a layer large. Try it on other
#   layers, and on a larger network.
