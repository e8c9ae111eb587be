# %% [markdown]
# # 5.4 More advanced networks
#
# The networks of the labs before this one are chains: each layer takes what the layer before it
# gives. Here the way forks and comes together again, and networks can grow deep.
#
# **You will learn**
# - to run layers side by side and to merge what they give, by a sum and by concatenation;
# - to write and train BranchCNN, and to count what a network has to learn;
# - why a deep chain is hard to train, and how a residual path helps;
# - to write a residual block and an inception block;
# - to keep a score board of your runs, with error bars, and to say when two runs really differ;
# - why a network is chosen on validation images, and the test images are read once.
#
# **You need** lab 5.1 (training and evaluating a network). The data comes with Lamplighter. All
# trainings here together take about two to three minutes on two processor cores. The notebook
# writes one file beside itself, `scoreboard.jsonl`.

# %%
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import lamplighter
from lamplighter import Classifier, ImageData, Trial, callbacks

device = "cuda" if torch.cuda.is_available() else "cpu"

# %% [markdown]
# ## The data
# MNIST: grey images of written digits, 28 x 28 pixels. To keep every training short we take 12,000
# of its training images, and set some 6,000 others aside as **validation images**: no network
# learns from them, and we use them to compare networks. The 10,000 **test images** wait until the
# end.
#
# A **batch** is a handful of images that go through the network together; an **epoch** is one pass
# over all training images. Images come as a tensor of shape `(N, C, H, W)`: N images, C
# **channels** (1 for grey), H rows, W columns. What a convolution gives has channels too, one for
# each of its kernels, and each such channel is called a **feature map**, or just a map.

# %%
mnist = ImageData.mnist().hold_out(0.1)  # train, val and test
few = mnist["train"].take(np.arange(12_000))
data = ImageData(
    {"train": few, "val": mnist["val"], "test": mnist["test"]},
    mnist.class_names,
    preprocessing=mnist.preprocessing,
    name="MNIST",
)
trainloader = data.batches("train", 128)  # in a new order in each epoch
valloader = data.batches("val", 500)
testloader = data.batches("test", 500)

images, labels = next(iter(trainloader))
print(data)
print("a batch of images:", tuple(images.shape), "and its labels:", tuple(labels.shape))

# %% [markdown]
# ## 1. Fork and merge
# ```text
#              ┌── convolution 1x1 ── ReLU ──┐
#   image ─────┤                             ├── merge ── the rest of the network
#              └── convolution 5x5 ── ReLU ──┘
# ```
# Both branches look at the same image: the 1x1 convolution at single pixels, the 5x5 convolution
# at small neighbourhoods. (ReLU turns negative values into 0.) There are two usual ways to merge.
#
# - **Sum**: add the maps pixel by pixel. All shapes must be equal; the result has the same shape.
# - **Concatenation**: put the maps one behind the other, `torch.cat(maps, dim=1)`. Batch size,
#   height and width must be equal; the channels add up.
#
# A 5x5 kernel must lie inside the image, so it gives 4 rows and 4 columns less than it gets.
# **Padding** puts a frame of zeros around the image first: with a frame 2 wide nothing is lost.
#
# The picture below shows both ways on a digit: a 1x1 kernel that copies it, and a 5x5 kernel that
# answers to edges between dark (left) and bright (right). The sum mixes both into one map.
# Concatenation keeps two maps, and leaves it to the next layer what to make of them.

# %%
one = nn.Conv2d(1, 16, 1)
five = nn.Conv2d(1, 16, 5, padding=2)
bare = nn.Conv2d(1, 16, 5)
print("1x1:                  ", tuple(one(images).shape))
print("5x5 without padding:  ", tuple(bare(images).shape))
print("5x5 with padding of 2:", tuple(five(images).shape))
print("sum:                  ", tuple((one(images) + five(images)).shape))
print("concatenation:        ", tuple(torch.cat([one(images), five(images)], dim=1).shape))

# %% grading="skip"
digit = torch.from_numpy(data["train"].images[:1]) / 255  # 0 is black, 1 is white
edge_kernel = torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]).repeat(5, 1).view(1, 1, 5, 5) / 10
copied = F.relu(digit)
edges = F.relu(F.conv2d(digit, edge_kernel, padding=2))
panels = {
    "branch 1x1: a copy": copied,
    "branch 5x5: edges": edges,
    "sum: one map": copied + edges,
    "concatenation:\nthe first map": torch.cat([copied, edges], dim=1)[:, 0:1],
    "concatenation:\nthe second map": torch.cat([copied, edges], dim=1)[:, 1:2],
}
figure, places = plt.subplots(1, 5, figsize=(11, 2.8), layout="constrained")
for axes, (title, maps) in zip(places, panels.items(), strict=True):
    axes.imshow(maps[0, 0], cmap="gray", vmin=0)
    axes.set_title(title, fontsize=10)
    axes.axis("off")
plt.show()

# %% [markdown] question="5.4-q1" points=2
# **5.4-q1** Which of these pairs of maps can be added, which can be concatenated (along the
# channels), and what is the shape of the result? (a) `(8, 16, 28, 28)` and `(8, 16, 28, 28)`;
# (b) `(8, 16, 28, 28)` and `(8, 32, 28, 28)`; (c) `(8, 16, 28, 28)` and `(8, 16, 24, 24)`.
# How could the pairs that do not fit be made to fit?
#
# <!-- BEGIN SOLUTION -->
# (a) Both: the sum is `(8, 16, 28, 28)`, the concatenation `(8, 32, 28, 28)`. (b) Concatenation
# alone: `(8, 48, 28, 28)`; for a sum, a 1x1 convolution can turn 32 channels into 16, or 16 into
# 32. (c) Neither: height and width differ. Padding of 2 in the branch with the 5x5 kernel keeps
# 28 x 28; or the larger maps could be cropped.
# <!-- END SOLUTION -->

# %% [markdown]
# ## Exercise 5.4-a: merging
# Complete `merge(maps, how)`. It takes a list of one or more tensors `(N, C, H, W)`, and `how` is
# `"sum"` or `"concatenate"`. It must leave the tensors that it is given as they are.
#
# Mind a trap: PyTorch adds a tensor of shape `(8, 1, 28, 28)` to one of shape `(8, 16, 28, 28)`
# without complaint, by repeating the one map 16 times (it is called broadcasting). In a network
# that is nearly always a mistake that nobody notices. So `merge` must raise a `ValueError` if
# tensors that are to be added differ in shape.


# %% exercise="5.4-a" points=2
def merge(maps, how):
    """Merge a list of feature maps, each (N, C, H, W), by "sum" or by "concatenate"."""
    ### BEGIN SOLUTION
    if how == "concatenate":
        return torch.cat(maps, dim=1)
    shapes = [tuple(one.shape) for one in maps]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"maps to be added must have the same shape, received {shapes}")
    return sum(maps)
    ### END SOLUTION


# %% tests="5.4-a"
print(merge([one(images), five(images)], "sum").shape)  # what do you expect?
print(merge([one(images), five(images)], "concatenate").shape)
### BEGIN HIDDEN TESTS
import torch

torch.manual_seed(3)
for channels in ([4, 4], [3, 3, 3], [5]):
    given = [torch.randn(2, count, 6, 7) for count in channels]
    for how, expected in (("sum", torch.stack(given).sum(0)), ("concatenate", torch.cat(given, 1))):
        seen, after = learner("merge(maps, how), maps", maps=given, how=how)
        what = f"merging {len(given)} tensors of shape {tuple(given[0].shape)} with how={how!r}"
        assert tuple(seen.shape) == tuple(expected.shape), (
            f"{what}: expected shape {tuple(expected.shape)}, saw {tuple(seen.shape)}"
        )
        assert torch.allclose(seen, expected, atol=1e-5), (
            f"{what}: the shape is right, but the values differ by up to "
            f"{float((seen - expected).abs().max()):.2g}"
        )
        assert all(torch.equal(a, b) for a, b in zip(given, after, strict=True)), (
            f"{what}: expected the tensors that came in to stay as they are, saw them changed"
        )
given = [torch.randn(2, 3, 6, 7), torch.randn(2, 5, 6, 7)]
seen = tuple(learner('merge(maps, "concatenate")', maps=given).shape)
assert seen == (2, 8, 6, 7), f"concatenating 3 and 5 channels: expected all of them, saw {seen}"
for shapes in ([(2, 16, 6, 6), (2, 1, 6, 6)], [(2, 4, 6, 6), (2, 4, 6, 6), (2, 4, 1, 1)]):
    maps = [torch.ones(shape) for shape in shapes]
    raised = learner.error('merge(maps, "sum")', maps=maps)
    assert raised == "ValueError", (
        f"expected a ValueError for the sum of tensors of shapes {shapes}, saw {raised or 'none'}"
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 2. BranchCNN
# A small network that forks once. Its layers:
#
# | layer | what it gives for one image |
# | --- | --- |
# | branch 1: convolution 1x1 with 16 kernels, ReLU | 16 x 28 x 28 |
# | branch 2: convolution 5x5 with 16 kernels and padding, ReLU | 16 x 28 x 28 |
# | sum of both branches | 16 x 28 x 28 |
# | max-pooling 2x2 (the largest of each 2 x 2 pixels) | 16 x 14 x 14 |
# | dropout of 0.2 (in training, sets a fifth of the values to 0 at random) | 16 x 14 x 14 |
# | dense layer with 128 outputs, ReLU | 128 |
# | dense layer with 10 outputs | 10 |
#
# The ten outputs are **logits**: one score for each digit, of any size; the largest one is the
# answer. There is no softmax at the end (it would turn logits into probabilities), since the loss
# function (cross-entropy) has its own.
#
# ### Exercise 5.4-b
# Write `BranchCNN`: the layers in `__init__`, the way of the images in `forward`. Use your `merge`.


# %% exercise="5.4-b" points=4
class BranchCNN(nn.Module):
    """Branches of 1x1 and 5x5 convolutions, added; then two dense layers."""

    def __init__(self):
        super().__init__()
        ### BEGIN SOLUTION
        self.one = nn.Conv2d(1, 16, 1)
        self.five = nn.Conv2d(1, 16, 5, padding=2)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.2)
        self.dense = nn.Linear(16 * 14 * 14, 128)
        self.out = nn.Linear(128, 10)
        ### END SOLUTION

    def forward(self, images):
        """Return the logits (N, 10) of images (N, 1, 28, 28)."""
        ### BEGIN SOLUTION
        maps = merge([F.relu(self.one(images)), F.relu(self.five(images))], "sum")
        features = self.dropout(self.pool(maps)).flatten(1)  # (N, 16 * 14 * 14)
        return self.out(F.relu(self.dense(features)))
        ### END SOLUTION


# %% tests="5.4-b" points=3
print(BranchCNN()(images).shape)  # (128, 10) is what it should be
### BEGIN HIDDEN TESTS
import torch
import torch.nn.functional as F

asked = "network = BranchCNN()\nnetwork(images), [tuple(p.shape) for p in network.parameters()]"
logits, shapes = learner(asked, images=torch.rand(5, 1, 28, 28))
assert tuple(logits.shape) == (5, 10), (
    f"expected ten logits for each of 5 images, saw shape {tuple(logits.shape)}"
)
for size, what in ((1, "one 1x1 convolution"), (5, "one 5x5 convolution")):
    seen = [shape for shape in shapes if len(shape) == 4 and shape[-2:] == (size, size)]
    assert seen == [(16, 1, size, size)], (
        f"expected {what} from 1 channel to 16 maps, saw weights of shapes {seen} of that size"
    )
dense = sorted([shape for shape in shapes if len(shape) == 2], reverse=True)
assert [shape[0] for shape in dense] == [128, 10], (
    f"expected two dense layers, of 128 and of 10 outputs, saw weights of shapes {dense}"
)
assert dense[0][1] * 2 == 16 * 28 * 14, (
    "expected the first dense layer to take all values of the pooled sum, 16 maps, "
    f"saw one that takes {dense[0][1]:,} values"
)
biases = sorted(shape for shape in shapes if len(shape) == 1)
assert biases == [(10,), (16,), (16,), (128,)], (
    f"expected a bias in each of the four layers and nothing else to learn, saw {biases}"
)
torch.manual_seed(5)
images = torch.randn(6, 1, 28, 28)
asked = """
network = BranchCNN().eval()
with torch.no_grad():
    answers = network(images), network(images)
dict(network.state_dict()), answers
"""
state, (first, second) = learner(asked, images=images)
assert torch.equal(first, second), (
    "expected the same answers to the same images in evaluation mode, after .eval(), "
    "saw others: something stays random"
)
layers = {}
for name, weight in state.items():
    if name.endswith("weight"):
        bias = state.get(name[: -len("weight")] + "bias")
        layers[tuple(weight.shape)] = (weight, bias)
one, five = layers[16, 1, 1, 1], layers[16, 1, 5, 5]
maps = F.relu(F.conv2d(images, *one)) + F.relu(F.conv2d(images, *five, padding=2))
features = F.max_pool2d(maps, 2).flatten(1)
hidden = F.relu(F.linear(features, *layers[128, 16 * 14 * 14]))
expected = F.linear(hidden, *layers[10, 128])
plain = F.linear(F.linear(features, *layers[128, 16 * 14 * 14]), *layers[10, 128])
assert not torch.allclose(first, plain, atol=1e-4) or torch.allclose(expected, plain), (
    "expected a ReLU after the first dense layer, saw none there"
)
assert not torch.allclose(first, expected.softmax(1), atol=1e-4), (
    "expected logits, saw their softmax: the loss function has its own"
)
assert torch.allclose(first, expected, atol=1e-4), (
    "with the network's own weights the logits differ from those of the layers in the table by "
    f"up to {float((first - expected).abs().max()):.2g}: compare the order of the layers, "
    "and where there is a ReLU"
)
### END HIDDEN TESTS

# %% tests="5.4-b" points=1
### BEGIN HIDDEN TESTS
asked = """
torch.manual_seed(0)
network = BranchCNN().train()
with torch.no_grad():
    for p in network.parameters():
        p.zero_()
        if p.shape == (16,):  # the sum of both branches becomes 1 everywhere
            p.fill_(0.5)
        if p.shape == (128, 3136):  # each hidden value is the sum of two neighbours
            for row in range(128):
                p[row, 24 * row : 24 * row + 2] = 1
        if p.shape == (10, 128):
            p[:, :10] = torch.eye(10)
    logits = network(torch.zeros(600, 1, 28, 28))
logits
"""
seen = learner(asked).round(decimals=3)
levels = sorted(set(seen.flatten().tolist()))
assert len(levels) > 1, "expected dropout in training, saw none: nothing is dropped"
kept = sum(level > 0 for level in levels)
strength = max(levels) / 2
assert abs(strength - 1.25) < 0.01, (
    f"expected what is kept to be scaled by 1 / (1 - 0.2), saw a scale of {strength:.3g}"
)
whole = float((seen == max(levels)).float().mean())
assert kept == 2 and abs(whole - 0.64) < 0.03, (
    "expected each value of the pooled maps to be dropped on its own, with a chance of 0.2; "
    f"saw two neighbours both kept in {100 * whole:.0f} % of all cases: is the dropout where the "
    "table has it, and is it for single values?"
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 5.4-c: training it
# Train a `BranchCNN`, with the `Trial` that you know from lab 5.1. Use these names:
# - `model`: your network; `optimiser`: Adam, for the weights of `model`, as PyTorch sets it up;
# - `trial`: a `Trial` of model, optimiser and cross-entropy loss, with the metrics `"loss"` and
#   `"accuracy"`, on `device`; it gets `trainloader` to learn from, `valloader` to validate after
#   each epoch (`val_generator=`) and `testloader` for later (`test_generator=`);
# - `history`: what `trial.run(epochs=4)` returns.
#
# A warning from Lamplighter in the output names a mistake that it has seen.

# %% exercise="5.4-c" points=2 long=true
torch.manual_seed(0)
### BEGIN SOLUTION
model = BranchCNN()
optimiser = torch.optim.Adam(model.parameters())
loss_function = nn.CrossEntropyLoss()
trial = Trial(model, optimiser, loss_function, metrics=["loss", "accuracy"]).to(device)
trial.with_generators(trainloader, val_generator=valloader, test_generator=testloader)
history = trial.run(epochs=4)
### END SOLUTION

# %% tests="5.4-c"
print(f"validation accuracy after the last epoch: {history[-1]['val_acc']:.4f}")
### BEGIN HIDDEN TESTS
import torch
import torch.nn.functional as F

from lamplighter import ImageData

mnist = ImageData.mnist().hold_out(0.1)
asked = """
inputs = torch.from_numpy(mnist.preprocessing.normalise(pixels))
device_now = next(model.parameters()).device
with torch.no_grad():
    answers = [model.eval()(part.to(device_now)).cpu() for part in inputs.split(500)]
torch.cat(answers)
"""
seen = learner(asked, pixels=mnist["test"].images[:1500])
right = float((seen.argmax(1) == torch.from_numpy(mnist["test"].labels[:1500])).float().mean())
assert right > 0.94, (
    "expected `model` to name more than 94 % of 1,500 new digits correctly after four epochs, "
    f"saw {100 * right:.1f} %: did the optimiser change the weights of this network, and enough?"
)
history = learner("[dict(entry) for entry in history]")
assert len(history) == 4, f"expected `history` to have four epochs, saw {len(history)}"
assert {"acc", "loss", "val_acc", "val_loss"} <= set(history[-1]), (
    f"expected loss and accuracy, also of the validation images; saw {sorted(history[-1])}"
)
seen = learner(asked, pixels=mnist["val"].images)
loss = float(F.cross_entropy(seen, torch.from_numpy(mnist["val"].labels)))
assert abs(history[-1]["val_loss"] - loss) < 1e-3, (
    f"`val_loss` is {history[-1]['val_loss']:.4f}, but on the validation images `model` has a loss "
    f"of {loss:.4f}: which images did the trial validate on?"
)
### END HIDDEN TESTS

# %% grading="skip"
figure = lamplighter.plot_history(history)
figure.suptitle("BranchCNN, four epochs")
figure

# %% [markdown]
# Training accuracy is measured while the weights still change and with dropout on, so it may lie
# below that of the validation images in the first epochs.
#
# ## Concatenating instead
# With concatenation the pooled maps are twice as many, so the first dense layer needs twice as many
# weights. How many is that? All that training changes in a network, its weights and biases, are its
# **parameters**: `network.parameters()` goes through them tensor by tensor.
#
# ### Exercise 5.4-d
# 1. Complete `count_parameters(network)`: how many numbers training can change, all in all.
# 2. Write `ConcatCNN`: as `BranchCNN`, but with the branches concatenated, and all that follows
#    made to fit.


# %% exercise="5.4-d" points=3
def count_parameters(network):
    """Return how many numbers there are in all parameters of a network."""
    ### BEGIN SOLUTION
    return sum(parameter.numel() for parameter in network.parameters())
    ### END SOLUTION


class ConcatCNN(nn.Module):
    """Branches of 1x1 and 5x5 convolutions, concatenated; then two dense layers."""

    ### BEGIN SOLUTION
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(1, 16, 1)
        self.five = nn.Conv2d(1, 16, 5, padding=2)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.2)
        self.dense = nn.Linear(2 * 16 * 14 * 14, 128)
        self.out = nn.Linear(128, 10)

    def forward(self, images):
        maps = merge([F.relu(self.one(images)), F.relu(self.five(images))], "concatenate")
        features = self.dropout(self.pool(maps)).flatten(1)
        return self.out(F.relu(self.dense(features)))

    ### END SOLUTION


# %% tests="5.4-d" points=1
for network in (nn.Conv2d(1, 16, 5), BranchCNN(), ConcatCNN()):
    print(type(network).__name__, count_parameters(network))
### BEGIN HIDDEN TESTS
conv, norm, dense = "nn.Conv2d(3, 4, 5)", "nn.BatchNorm2d(4)", "nn.Linear(7, 2)"
nested = f"nn.Sequential(nn.Sequential({conv}, {norm}), nn.Flatten(), {dense}, nn.ReLU())"
for network, expected in ((dense, 16), (conv, 304), (nested, 328), ("nn.ReLU()", 0)):
    seen = learner(f"count_parameters({network})")
    assert seen == expected, f"for {network}: expected {expected} parameters, saw {seen}"
### END HIDDEN TESTS

# %% tests="5.4-d" points=2
### BEGIN HIDDEN TESTS
import torch
import torch.nn.functional as F

torch.manual_seed(6)
images = torch.randn(6, 1, 28, 28)
asked = """
network = ConcatCNN().eval()
with torch.no_grad():
    answers = network(images), network(images)
    trained = network.train()(images), network(images)
dict(network.state_dict()), answers, trained
"""
state, (seen, again), (dropped, other) = learner(asked, images=images)
layers = {}
for name, weight in state.items():
    if name.endswith("weight"):
        bias = state.get(name[: -len("weight")] + "bias")
        layers[tuple(weight.shape)] = (weight, bias)
shapes = sorted(layers)
expected = sorted([(16, 1, 1, 1), (16, 1, 5, 5), (128, 6272), (10, 128)])
assert [shape[0] for shape in shapes] == [shape[0] for shape in expected], (
    f"expected the same four layers as in BranchCNN, saw weights of shapes {shapes}"
)
assert shapes == expected, (
    "expected the dense layer to take all values of all pooled maps of both branches, "
    f"saw weights of shapes {shapes}"
)
assert torch.equal(seen, again), (
    "expected the same answers to the same images in evaluation mode, saw others"
)
one = F.relu(F.conv2d(images, *layers[16, 1, 1, 1]))
five = F.relu(F.conv2d(images, *layers[16, 1, 5, 5], padding=2))
gaps = []
for maps in ([one, five], [five, one]):
    features = F.max_pool2d(torch.cat(maps, 1), 2).flatten(1)
    hidden = F.relu(F.linear(features, *layers[128, 6272]))
    gaps.append(float((F.linear(hidden, *layers[10, 128]) - seen).abs().max()))
assert min(gaps) < 1e-4, (
    "the shapes are right, but with the network's own weights the logits differ from those of "
    f"concatenated branches by {min(gaps):.2g}: compare pooling, ReLU, the order of the layers, "
    "and along which axis the maps are put together"
)
assert not torch.equal(dropped, other), (
    "expected dropout in training, as in BranchCNN, saw the same answers twice"
)
### END HIDDEN TESTS

# %% grading="skip"
for make in (BranchCNN, ConcatCNN):
    print(f"{make.__name__}: {count_parameters(make()):,} parameters")
    for name, parameter in make().named_parameters():
        print(f"    {name:12} {tuple(parameter.shape)!s:16} {parameter.numel():>9,}")

# %% [markdown] question="5.4-q2" points=2
# **5.4-q2** Work out by hand how many parameters the 5x5 convolution and the first dense layer of
# `BranchCNN` have. Where do most of a network's parameters sit, and why does concatenation nearly
# double their number though the convolutions stay as they are?
#
# <!-- BEGIN SOLUTION -->
# The convolution: 16 kernels of 1 x 5 x 5 weights and 16 biases, 16 * 25 + 16 = 416. The dense
# layer: 16 * 14 * 14 = 3,136 inputs, each with a weight to each of 128 outputs, and 128 biases:
# 3,136 * 128 + 128 = 401,536, of 403,274 in all. A convolution uses its few weights at each
# place anew; a dense layer has a weight for every pair of input and output. Concatenation gives
# it twice as many inputs, 6,272, and so twice as many weights: 802,944, of 804,682 in all.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 3. Why deep chains are hard to train
# Training changes each weight by its **gradient**: how much the loss would change with the weight.
# The gradient of the first layer has come back through all the others, and each of them multiplies
# it by something. If that is mostly less than 1, little is left, and the first layers of a deep
# chain hardly learn. On the way forward the same happens to what tells one image from another.
#
# A **residual** path lets maps go around layers, and adds them again (He et al., 2015,
# arXiv:1512.03385). So the layers in between need only learn what is to be *changed*, and the
# gradient has a way back on which nothing multiplies it:
# ```text
#   maps ──┬── ReLU ── convolution ── ReLU ── convolution ──┬── sum ──
#          └────────────────── as they are ─────────────────┘
# ```
# We build stacks of 8 maps, 14 x 14, of any depth, with and without such paths. (The first layer
# has a **stride** of 2: its kernel moves in steps of two pixels, which halves the size.) Two
# measurements follow: the size (norm) of the first layer's gradient before any training, for five
# random starts of each depth; and the loss while stacks of 20 convolutions train for one epoch.


# %% grading="skip"
class Stack(nn.Module):
    """Many convolutions in a row; with `residual`, each pair is added to what goes into it."""

    def __init__(self, depth, residual):
        super().__init__()
        self.residual = residual
        self.first = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.pairs = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)
            )
            for _ in range(depth // 2)
        )
        self.out = nn.Linear(8 * 14 * 14, 10)

    def forward(self, images):
        maps = self.first(images)
        for pair in self.pairs:
            maps = maps + pair(maps) if self.residual else pair(maps)
        return self.out(F.relu(maps).flatten(1))


# %% grading="skip" long=true
def first_gradient(depth, residual, seed):
    """Return the norm of the gradient of the first layer, before any training."""
    torch.manual_seed(seed)
    stack = Stack(depth, residual)
    F.cross_entropy(stack(images), labels).backward()
    return stack.first.weight.grad.norm().item()


def losses_of(stack):
    """Train a stack for one epoch in plain PyTorch, and return the loss of each batch."""
    optimiser = torch.optim.Adam(stack.parameters())
    losses = []
    for inputs, targets in trainloader:
        loss = F.cross_entropy(stack(inputs), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


depths = [2, 4, 8, 16, 32]
norms = {kind: [[first_gradient(d, kind, s) for s in range(5)] for d in depths] for kind in (0, 1)}
curves = {kind: losses_of(Stack(20, residual=kind)) for kind in (0, 1)}

# %% grading="skip"
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
looks = {0: ("plain chain", "#d55e00", "s--"), 1: ("with residual paths", "#0072b2", "o-")}
for kind, (name, colour, style) in looks.items():
    values = np.array(norms[kind])
    left.plot(depths, np.median(values, axis=1), style, color=colour, label=name)
    left.fill_between(depths, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.2)
    right.plot(curves[kind], style[1:], color=colour, label=f"{name}, 20 deep")
left.set(yscale="log", xlabel="convolutions after the first", ylabel="gradient norm")
left.set_xticks(depths)
left.set_title("Gradient of the first layer before training\n(median and range of 5 starts)")
right.axhline(np.log(10), color="grey", linestyle=":", label="guessing: log 10")
right.set(xlabel="batch", ylabel="training loss", ylim=(0, None))
right.set_title("One epoch of training")
for axes in (left, right):
    axes.grid(alpha=0.3)
    axes.legend()
plt.show()

# %% [markdown] question="5.4-q3" points=2
# **5.4-q3** Describe both panels. By roughly what factor does the gradient of the plain chain
# shrink with each further convolution, and what does it mean for training? Why does a residual path
# help?
#
# <!-- BEGIN SOLUTION -->
# Left: the scale is logarithmic, so the straight line of the plain chain means the same factor for
# each layer, roughly 0.4: from a few hundredths at 2 convolutions to some 1e-14 at 32. Its first
# layers stay as they were drawn at random. With residual paths the gradient is about the same at
# every depth. Right: the plain chain's loss stays at log 10 = 2.3, that of guessing; the other's
# falls at once. The derivative of `x + f(x)` is `1 + f'(x)`: even where `f'(x)` is almost 0, the
# 1 carries the gradient back unchanged. Forward it is alike: `x` itself arrives, so that the last
# layer can still tell the images apart.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 4. Two blocks that made networks deep
# Other things help deep chains too: larger weights at the start (He et al., 2015,
# arXiv:1502.01852) and **batch normalisation** (Ioffe and Szegedy, 2015, arXiv:1502.03167). The
# layer `nn.BatchNorm2d` shifts and scales each map so that, over the batch, its mean is 0 and its
# standard deviation 1, and then by two numbers for each map that it learns. So no layer gets
# values that have shrunk or grown on their way. In evaluation mode it uses averages that it has
# gathered in training, so that the answer to an image does not depend on its batch: one more reason
# for `eval()`. A convolution before it needs no bias (`bias=False`): the mean is taken off.
#
# ### Exercise 5.4-e: the residual block
# ```text
#   maps ─┬─ conv 3x3 ─ BatchNorm ─ ReLU ─ conv 3x3 ─ BatchNorm ─┬─ sum ─ ReLU ──
#         └───────────────────── shortcut ───────────────────────┘
# ```
# Write it as He et al. did (2015, arXiv:1512.03385). Neither 3x3 convolution has a bias; both are
# padded so that they keep the size; the first one has the `stride`. The shortcut gives the maps as
# they are (`nn.Identity`). But if the number of channels changes or the stride is not 1, the sum
# would not fit: then the shortcut is a 1x1 convolution with that stride and no bias, and BatchNorm.


# %% exercise="5.4-e" points=3
class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, added to a shortcut."""

    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        ### BEGIN SOLUTION
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(out_channels)
        ### END SOLUTION

    def forward(self, maps):
        ### BEGIN SOLUTION
        changes = F.relu(self.first_norm(self.first(maps)))
        changes = self.second_norm(self.second(changes))
        return F.relu(self.shortcut(maps) + changes)
        ### END SOLUTION


# %% tests="5.4-e" points=1
print(ResidualBlock(16, 16)(torch.rand(8, 16, 28, 28)).shape)
print(ResidualBlock(16, 32, stride=2)(torch.rand(8, 16, 28, 28)).shape)
### BEGIN HIDDEN TESTS
import torch

asked = """
block = ResidualBlock(before, after, stride)
block(maps), [tuple(p.shape) for p in block.parameters()]
"""
for before, after, stride in ((6, 6, 1), (6, 10, 1), (6, 6, 2), (6, 10, 2)):
    what = f"ResidualBlock({before}, {after}, {stride})"
    maps = torch.randn(3, before, 8, 8)
    seen, shapes = learner(asked, before=before, after=after, stride=stride, maps=maps)
    expected = (3, after, 8 // stride, 8 // stride)
    assert tuple(seen.shape) == expected, (
        f"{what} of maps {tuple(maps.shape)}: expected shape {expected}, saw {tuple(seen.shape)}"
    )
    same = before == after and stride == 1
    convolutions = sorted(shape[-1] for shape in shapes if len(shape) == 4)
    assert convolutions == ([3, 3] if same else [1, 3, 3]), (
        f"{what}: expected two 3x3 convolutions, and a 1x1 one only where maps change in number "
        f"or size; saw kernels of sizes {convolutions}"
    )
    others = len([shape for shape in shapes if len(shape) == 1])
    wanted = 4 if same else 6
    assert others == wanted, (
        f"{what}: expected {wanted // 2} BatchNorms (with a factor and a shift each) and no bias "
        f"in the convolutions, that is {wanted} parameters of one axis; saw {others}"
    )
### END HIDDEN TESTS

# %% tests="5.4-e" points=2
### BEGIN HIDDEN TESTS
import torch
import torch.nn.functional as F

torch.manual_seed(8)
maps = torch.randn(4, 6, 8, 8)
asked = """
block = ResidualBlock(6, 6).train()
for p in block.parameters():
    if p.ndim == 4:
        torch.nn.init.zeros_(p)
block(maps)
"""
gap = float((learner(asked, maps=maps) - maps.relu()).abs().max())
assert gap < 1e-4, (
    "with all weights of its convolutions 0, a block that changes neither number nor size of maps "
    f"must give the ReLU of its input; saw a difference of up to {gap:.2g}"
)


def norm(values):
    return F.batch_norm(values, None, None, training=True)


asked = """
torch.manual_seed(0)
block = ResidualBlock(6, after, stride).train()
[p for p in block.parameters() if p.ndim == 4], block(maps)
"""
for after, stride in ((6, 1), (10, 1), (6, 2), (10, 2)):
    weights, seen = learner(asked, after=after, stride=stride, maps=maps)
    threes = [weight for weight in weights if weight.shape[-1] == 3]
    ones = [weight for weight in weights if weight.shape[-1] == 1]
    threes.sort(key=lambda weight: weight.shape[1] != 6)
    gaps = []
    for first, second in (threes, threes[::-1]) if after == 6 else (threes,):
        changes = F.relu(norm(F.conv2d(maps, first, stride=stride, padding=1)))
        changes = norm(F.conv2d(changes, second, padding=1))
        shortcut = norm(F.conv2d(maps, ones[0], stride=stride)) if ones else maps
        gaps.append(float((F.relu(shortcut + changes) - seen).abs().max()))
    assert min(gaps) < 1e-3, (
        f"ResidualBlock(6, {after}, {stride}): with the block's own weights the output differs "
        f"from that of the drawing by up to {min(gaps):.2g}: compare where there is BatchNorm and "
        "ReLU, and what has the stride"
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 5.4-f: the inception block
# Which kernel size is best? Szegedy et al. (2014, arXiv:1409.4842) take several side by side, and
# let training decide. Write the class `InceptionBlock`, which is made by
# `InceptionBlock(in_channels, width)`. It concatenates four branches, each with `width` maps at its
# end, in this order:
# ```text
#         ┌─ 1x1 ──────────────────────┐
#   maps ─┼─ 1x1 ─ 3x3 ────────────────┼─ concatenation ──
#         ├─ 1x1 ─ 5x5 ────────────────┤
#         └─ max-pooling 3x3 ─ 1x1 ────┘
# ```
# Each `1x1`, `3x3` and `5x5` is a convolution without bias that gives `width` maps and keeps their
# size, then BatchNorm (which came a year after the paper) and ReLU. The pooling has stride 1 and
# padding 1, so that it keeps the size too. The 1x1 convolutions before the large kernels save work:
# they make the maps few first.


# %% exercise="5.4-f" points=3
class InceptionBlock(nn.Module):
    """Branches of 1x1, 3x3, 5x5 and pooling, concatenated: (N, 4 * width, H, W)."""

    ### BEGIN SOLUTION
    def __init__(self, in_channels, width):
        super().__init__()

        def conv(channels, size):
            convolution = nn.Conv2d(channels, width, size, padding=size // 2, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())

        self.branches = nn.ModuleList(
            [
                conv(in_channels, 1),
                nn.Sequential(conv(in_channels, 1), conv(width, 3)),
                nn.Sequential(conv(in_channels, 1), conv(width, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(in_channels, 1)),
            ]
        )

    def forward(self, maps):
        return merge([branch(maps) for branch in self.branches], "concatenate")

    ### END SOLUTION


# %% tests="5.4-f"
print(InceptionBlock(16, 8)(torch.rand(2, 16, 14, 14)).shape)  # 4 * 8 maps of the same size
### BEGIN HIDDEN TESTS
import torch
import torch.nn.functional as F

asked = """
block = InceptionBlock(channels, width)
block(maps), [tuple(p.shape) for p in block.parameters()]
"""
for channels, width, size in ((6, 5, 9), (3, 2, 12)):
    what = f"InceptionBlock({channels}, {width})"
    maps = torch.randn(3, channels, size, size)
    seen, shapes = learner(asked, channels=channels, width=width, maps=maps)
    expected = (3, 4 * width, size, size)
    assert tuple(seen.shape) == expected, (
        f"{what} of maps {tuple(maps.shape)}: expected shape {expected}, saw {tuple(seen.shape)}"
    )
    convolutions = sorted(shape for shape in shapes if len(shape) == 4)
    expected = [(width, channels, 1, 1)] * 4 + [(width, width, 3, 3), (width, width, 5, 5)]
    assert convolutions == sorted(expected), (
        f"{what}: expected the six convolutions of the drawing, saw weights of shapes "
        f"{convolutions}"
    )
    others = len([shape for shape in shapes if len(shape) == 1])
    assert others == 12, (
        f"{what}: expected a BatchNorm (a factor and a shift) after each convolution and no bias, "
        f"that is 12 parameters of one axis; saw {others}"
    )
torch.manual_seed(9)
maps = torch.randn(4, 6, 9, 9)
asked = """
torch.manual_seed(0)
block = InceptionBlock(6, 5).train()
[p for p in block.parameters() if p.ndim == 4], block(maps)
"""
weights, seen = learner(asked, maps=maps)


def conv(values, weight):
    result = F.conv2d(values, weight, padding=weight.shape[-1] // 2)
    return F.relu(F.batch_norm(result, None, None, training=True))


ones = [weight for weight in weights if weight.shape[-1] == 1]
three = next(weight for weight in weights if weight.shape[-1] == 3)
five = next(weight for weight in weights if weight.shape[-1] == 5)
pooled = F.max_pool2d(maps, 3, stride=1, padding=1)
branches = {
    "1x1": lambda one: conv(maps, one),
    "1x1 - 3x3": lambda one: conv(conv(maps, one), three),
    "1x1 - 5x5": lambda one: conv(conv(maps, one), five),
    "max-pooling - 1x1": lambda one: conv(pooled, one),
}
for place, (name, branch) in enumerate(branches.items()):
    part = seen[:, 5 * place : 5 * place + 5]
    gap = min(float((branch(one) - part).abs().max()) for one in ones)
    assert gap < 1e-3, (
        f"expected quarter {place + 1} of the maps to be those of the branch {name}, saw others "
        f"(a difference of up to {gap:.2g} for the nearest of the 1x1 convolutions): compare the "
        "order of the branches, and BatchNorm and ReLU after each convolution"
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Beside ours
# Lamplighter has both blocks in `lamplighter.models`, and whole networks made of them
# (`lamplighter.list_models()` names all). Do yours have as many parameters?
#
# After that come two networks of your blocks, and a third that is yours to change. They end with
# **global average pooling**: the mean of each map, one number, whatever the size of the maps. No
# large dense layer is needed then, so that these networks have few parameters.

# %% grading="skip"
ours = lamplighter.models
pairs = {
    "residual block, 16 to 16": (ResidualBlock(16, 16), ours.ResidualBlock(16, 16)),
    "residual block, 16 to 32": (ResidualBlock(16, 32, 2), ours.ResidualBlock(16, 32, 2)),
    "inception block, 16 to 32": (InceptionBlock(16, 8), ours.InceptionBlock(16, 8)),
    "BranchCNN": (BranchCNN(), ours.BranchCNN()),
}
for name, (mine, other) in pairs.items():
    print(f"{name:26} yours {count_parameters(mine):>8,}   ours {count_parameters(other):>8,}")
print(ours.ResidualBlock(16, 32, 2))


# %% grading="skip"
def start():
    """The first layers: 16 maps of 14 x 14."""
    convolution = nn.Conv2d(1, 16, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.ReLU())


def end(channels):
    """The last layers: the mean of each map, then ten logits."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def residual_network():
    return nn.Sequential(start(), ResidualBlock(16, 16), ResidualBlock(16, 32, 2), end(32))


def inception_network():
    blocks = InceptionBlock(16, 8), nn.MaxPool2d(2), InceptionBlock(32, 16)
    return nn.Sequential(start(), *blocks, end(64))


def my_network():  # yours: change it as you like
    return nn.Sequential(start(), ResidualBlock(16, 32, 2), InceptionBlock(32, 16), end(64))


# %% [markdown]
# ## 5. How far can you go?
# Whoever tries many networks needs a record: what was tried, what it cost, what came of it. Ours
# is a file, `scoreboard.jsonl`. Each line is one run as a JSON object (JSON is a way to write
# dictionaries as text; `json.dumps` does it), and the file grows from run to run, also when you
# run this notebook again tomorrow.
#
# A record is worth little if it can be damaged. Suppose that the program is stopped while it
# writes, or that a run cannot be written as JSON: then half a line may stand in the file, or
# nothing at all. So never write into the good file. Prepare the whole new text first, write it to
# another file in the same folder, and then let that one take the place of the old one:
# `new.replace(old)`, where both are a `Path`. This happens at once: whoever looks sees the old file
# or the new one, never half of one.
#
# ### Exercise 5.4-g
# Complete `add_run(path, run)`: it adds the dictionary `run` as one more line to the file `path`,
# in that safe way. All that is in the file stays as it is. At the first run there is no file
# yet. Afterwards nothing but the board is left in the folder.


# %% exercise="5.4-g" points=3
def add_run(path, run):
    """Add a dictionary as a line of JSON to the file `path`; it is never left half-written."""
    ### BEGIN SOLUTION
    path = Path(path)
    before = path.read_text("utf-8") if path.exists() else ""
    text = before + json.dumps(run) + "\n"
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, "utf-8")
    beside.replace(path)
    ### END SOLUTION


# %% tests="5.4-g" points=1
add_run("try.jsonl", {"name": "one", "accuracy": 0.9})
add_run("try.jsonl", {"name": "two", "accuracy": 0.8})
print(Path("try.jsonl").read_text("utf-8"))
Path("try.jsonl").unlink()
### BEGIN HIDDEN TESTS
import json

runs = [{"name": "première", "accuracy": 0.5}, {"name": "b\nc", "n": [1, 2]}, {"name": "d"}]
asked = """
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    board = os.path.join(folder, "board.jsonl")
    texts = []
    for run in runs:
        add_run(board, run)
        with open(board, encoding="utf-8") as file:
            texts.append(file.read())
    left = sorted(os.listdir(folder))
texts, left
"""
texts, left = learner(asked, runs=runs)
for count, text in enumerate(texts, start=1):
    lines = text.split("\n")
    assert len(lines) == count + 1 and lines[-1] == "", (
        f"after {count} runs expected {count} lines, each with its line break; saw {text!r}"
    )
    try:
        seen = [json.loads(line) for line in lines[:-1]]
    except ValueError:
        raise AssertionError(f"expected a JSON object in each line, saw {text!r}") from None
    assert seen == runs[:count], f"expected the runs {runs[:count]} in the file, saw {seen}"
    assert text.startswith(texts[max(count - 2, 0)]), (
        f"expected the lines before to stay as they are, saw {text!r}"
    )
assert left == ["board.jsonl"], f"expected the board alone in its folder, saw {left}"
### END HIDDEN TESTS

# %% tests="5.4-g" points=2
### BEGIN HIDDEN TESTS
asked = """
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    board = os.path.join(folder, "board.jsonl")
    with open(board, "w", encoding="utf-8") as file:
        file.write(before)
    try:
        add_run(board, {"name": "bad", "accuracy": 0.1, "network": object()})
    except TypeError:
        pass
    with open(board, encoding="utf-8") as file:
        text = file.read()
text
"""
before = '{"name": "good"}\n'
seen = learner(asked, before=before)
assert seen == before, (
    "when a run cannot be written as JSON (it holds an object), expected the board to stay as it "
    f"was, {before!r}; saw {seen!r}"
)
asked = """
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    board = os.path.join(folder, "board.jsonl")
    add_run(board, {"name": "first"})
    old = os.stat(board).st_ino
    add_run(board, {"name": "second"})
    new = os.stat(board).st_ino
old != new
"""
assert learner(asked) is True, (
    "expected a new file to take the place of the old one, saw the old file written into: "
    "stopped at that moment, it could be left with half a line"
)
### END HIDDEN TESTS

# %% [markdown]
# Each run gets a line: name, parameters, seconds of training, and accuracy with its **95 %
# interval**. An accuracy measured on 6,000 images is an estimate, as in a poll: with others it
# would have been a little higher or lower. The interval (E. B. Wilson, 1927) is made so that in
# 95 of 100 such measurements it holds the true value. `lamplighter.evaluate` gives it.
#
# All networks are trained alike, so that the comparison is fair: three epochs of Adam with a
# learning rate that rises and falls once (one cycle; Smith and Topin, 2017, arXiv:1708.07120). A
# `Classifier` is a network with its class names and its way of preparing images: what `evaluate`
# needs to know.
#
# A training starts from random weights and takes the images in a random order; the **seed** fixes
# both. The same network with another seed is another run, with another score. So one network runs
# three times. The **baselines**, what a new idea has to beat, are three networks of ours: SimpleCNN
# and BetterCNN of lab 5.1, and QuickCNN, three convolutions with BatchNorm.

# %% grading="skip"
BOARD = Path("scoreboard.jsonl")
trained = {}  # the classifiers of this session, by name


def record(name, classifier, split, seconds):
    """Measure a classifier on a split, and put it on the board."""
    accuracy = lamplighter.evaluate(classifier, data, split).accuracy
    run = {"name": name, "split": split, "images": len(data[split])}
    run |= {"parameters": count_parameters(classifier.network), "seconds": round(seconds, 1)}
    run |= {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high}
    add_run(BOARD, run)
    print(f"{name:30} {split:4}  {accuracy}")


def train_and_record(name, make, seed=1, epochs=3):
    """Train a new network that `make` returns; put its validation score on the board."""
    torch.manual_seed(seed)
    classifier = Classifier(make(), data.preprocessing, data.class_names)
    optimiser = torch.optim.Adam(classifier.network.parameters())
    cycle = callbacks.OneCycle(0.01)
    trial = Trial(classifier, optimiser, callbacks=[cycle], verbose=0, seed=seed).to(device)
    begin = time.perf_counter()
    trial.with_generators(data.batches("train", 64, seed=seed)).run(epochs)
    trained[name] = classifier
    record(name, classifier, "val", time.perf_counter() - begin)


# %% grading="skip" long=true
networks = {
    "simple-cnn": lamplighter.models.SimpleCNN,
    "better-cnn": lamplighter.models.BetterCNN,
    "quick-cnn": lamplighter.models.QuickCNN,
    "branches, sum": BranchCNN,
    "branches, concatenated": ConcatCNN,
    "residual": residual_network,
    "inception": inception_network,
    "my network": my_network,
}
for name, make in networks.items():
    train_and_record(f"{name}, seed 1", make)

for seed in (2, 3):
    train_and_record(f"quick-cnn, seed {seed}", lamplighter.models.QuickCNN, seed)


# %% grading="skip"
def newest_runs():
    """Return the newest run of each name and split on the board."""
    runs = [json.loads(line) for line in BOARD.read_text("utf-8").splitlines()]
    return list({(run["name"], run["split"]): run for run in runs}.values())


def draw_board(runs):
    """Draw each run with its interval, the best on top."""
    runs = sorted(runs, key=lambda run: run["accuracy"])
    _, axes = plt.subplots(figsize=(9, 0.42 * len(runs) + 1.2), layout="constrained")
    for row, run in enumerate(runs):
        value, low, high = (100 * run[key] for key in ("accuracy", "low", "high"))
        mark, colour = ("o", "#0072b2") if run["split"] == "val" else ("s", "#d55e00")
        reach = [[value - low], [high - value]]
        axes.errorbar(value, row, xerr=reach, fmt=mark, color=colour, capsize=4)
    about = "{name} [{split}]\n{parameters:,} parameters, {seconds:.0f} s"
    axes.set_yticks(range(len(runs)), [about.format(**run) for run in runs], fontsize=8)
    axes.set(xlabel="accuracy in %, with its 95 % interval", title="Score board")
    axes.grid(alpha=0.3)
    plt.show()


draw_board(newest_runs())

# %% [markdown]
# ### Do two runs really differ?
# Where two intervals do not overlap, the runs differ. Where they overlap they may differ
# nevertheless: the intervals do not know that both saw the *same* images. A sharper way asks only
# about the images on which just one of the two is right (McNemar, 1947). If both were equally good,
# these would fall to either side like the tosses of a coin. `p` is how often a coin would fall at
# least as unevenly; below 0.05 it is customary to speak of a real difference.
#
# Two warnings. Who compares twenty pairs of equally good networks must expect one p below 0.05. And
# this compares two trained networks, not two ideas: another seed of each may turn it round. How
# a network is trained matters as much as its layers: `branches, sum` is the network of exercise c,
# now with smaller batches and a learning rate that rises and falls.

# %% grading="skip"
for a, b in (
    ("quick-cnn, seed 1", "quick-cnn, seed 2"),
    ("quick-cnn, seed 1", "residual, seed 1"),
    ("branches, sum, seed 1", "branches, concatenated, seed 1"),
    ("residual, seed 1", "simple-cnn, seed 1"),
):
    comparison = lamplighter.compare(trained[a], trained[b], data, "val")
    print(f"A: {a}; B: {b}\n   {comparison.sentence()}\n")

# %% [markdown] question="5.4-q4" points=2
# **5.4-q4** Which networks can you tell apart on 6,000 images, and which not? A friend says:
# "With seed 2 my network has 0.2 % more than yours, so mine is better." What do you answer?
#
# <!-- BEGIN SOLUTION -->
# Those can be told apart whose intervals do not overlap, and those for which p is below 0.05 on the
# same images. In our run these are few: the quick network stands above the one that concatenates,
# with each of its seeds. Neighbours on the board cannot be told apart: not two seeds of the quick
# network, not the two ways of merging, nor the residual network from simple-cnn, which has thirty
# times its parameters. Seeds of one and the same network may well differ by 0.2 %, as they did in
# our run. So 0.2 % between one run of each says nothing of the networks: train each with several
# seeds, compare the means with their spread, and measure on more images.
# <!-- END SOLUTION -->

# %% [markdown]
# ### Choosing
# Suppose twenty networks that are all equally good: 98 % of all digits. Each is measured on 6,000
# images, with the luck of that measurement. How good does the best of them seem?

# %%
luck = np.random.default_rng(0)
measured = luck.binomial(6_000, 0.98, size=(1_000, 20)) / 6_000  # a thousand such contests
print(f"the best of 20 seems to have {100 * measured.max(axis=1).mean():.2f} %, and has 98.00 %")

# %% [markdown]
# Whoever picks the highest score picks luck along with quality, so that score is too good.
# This is why the choice is made on validation images, and the test images are read **once**, for
# the one network that was chosen. They had no part in the choice, so their score is honest.
#
# ### Exercise 5.4-h
# And why choose the highest score at all, where it may be chance? Complete `choose(runs)` with
# this rule of thumb. Of the runs with `run["split"] == "val"`, the best is the one with the highest
# `accuracy`. All runs whose interval reaches that accuracy (`high` is at least as large) may be
# as good. Of these return the one with the fewest `parameters`; of several with equally few, the
# one with the highest accuracy. Runs on other splits are not looked at.


# %% exercise="5.4-h" points=2
def choose(runs):
    """Return the smallest run that may be as good as the best, judged on validation images."""
    ### BEGIN SOLUTION
    candidates = [run for run in runs if run["split"] == "val"]
    best = max(run["accuracy"] for run in candidates)
    as_good = [run for run in candidates if run["high"] >= best]
    return min(as_good, key=lambda run: (run["parameters"], -run["accuracy"]))
    ### END SOLUTION


# %% tests="5.4-h"
examples = [
    {"name": "large", "split": "val", "accuracy": 0.985, "high": 0.989, "parameters": 900_000},
    {"name": "small", "split": "val", "accuracy": 0.983, "high": 0.987, "parameters": 20_000},
    {"name": "tiny", "split": "val", "accuracy": 0.950, "high": 0.960, "parameters": 1_000},
]
print(choose(examples)["name"])  # who should it be?
### BEGIN HIDDEN TESTS
import random


def rule(runs):
    runs = [run for run in runs if run["split"] == "val"]
    best = max(run["accuracy"] for run in runs)
    fit = [run for run in runs if run["high"] >= best]
    return sorted(fit, key=lambda run: (run["parameters"], -run["accuracy"]))[0]


def told(run):
    return ", ".join(f"{key} {value}" for key, value in run.items())


draw = random.Random(4)
contests = []
for number in range(60):
    runs = []
    for place in range(draw.randint(1, 8)):
        value = round(draw.uniform(0.9, 0.99), 4)
        run = {"name": f"run {place}", "split": "val", "accuracy": value}
        run |= {"low": round(value - 0.02, 4), "high": round(value + 0.02, 4)}
        run |= {"parameters": draw.choice([500, 500, 2_000, 40_000]), "seconds": 1.0}
        runs.append(run)
    if number >= 30:  # a test score that must not be looked at
        bait = {"name": "bait", "split": "test", "accuracy": 0.999, "low": 0.99, "high": 1.0}
        runs.insert(draw.randint(0, len(runs)), bait | {"parameters": 10, "seconds": 1.0})
    contests.append(runs)
for runs in contests:
    seen = learner("choose(runs)", runs=runs)
    assert isinstance(seen, dict), f"expected one of the runs, a dictionary, saw {seen!r:.100}"
    if seen != rule(runs):
        best = max(run["accuracy"] for run in runs if run["split"] == "val")
        why = ""
        if seen.get("split") != "val":
            why = "a run that was measured on other images than the validation images"
        elif seen["high"] < best:
            why = f"a run whose interval does not reach the best accuracy, {best}"
        elif seen["parameters"] > rule(runs)["parameters"]:
            why = "one that is larger than another which may be as good"
        else:
            why = "one of several equally small ones that is not the most accurate of them"
        raise AssertionError(f"of {len(runs)} runs expected another one; saw {why} ({told(seen)})")
### END HIDDEN TESTS

# %% [markdown]
# Now the test images, once. With a `Trial` it is the line that you know from lab 5.1; here it is
# for the `model` of exercise c, which took no part in the contest. Then the chosen network is
# tested, and its test score joins the board (an orange square).

# %% grading="skip"
results = trial.evaluate(data_key=lamplighter.TEST_DATA)
right = round(results["test_acc"] * len(data["test"]))
print("the model of exercise 5.4-c:", lamplighter.wilson(right, len(data["test"])))

chosen = choose([run for run in newest_runs() if run["name"] in trained])
print("chosen on validation images:", chosen["name"])
record(chosen["name"], trained[chosen["name"]], "test", chosen["seconds"])
draw_board([run for run in newest_runs() if run["name"] in trained])

# %% [markdown] question="5.4-q5" points=2
# **5.4-q5** Why is the network chosen on validation images and not on test images, though both are
# new to it? And what happens if, disappointed by the test score, you change `my_network` and read
# the test images again, ten times over?
#
# <!-- BEGIN SOLUTION -->
# The highest of many scores is too high, since luck helped it to the top: on the images that
# the choice was made on, the score is no fair estimate any more. Test images that had no part in
# the choice give one. Whoever reads them again after each change, and keeps what scored best, is
# choosing on them: they have become validation images, and nothing is left to measure with.
# Then new test images are needed.
# <!-- END SOLUTION -->

# %% [markdown]
# ## Going further
# - Change `my_network` and climb: a new cell with `train_and_record("a name", my_network)` and
#   `draw_board(newest_runs())` is enough. Then more epochs, all 54,000 training images
#   (`data = mnist`), small shifts of the images (`lamplighter.RandomShift`).
#   `lamplighter.train(mnist, recipe="best")` gets 99.7 % in some 11 minutes.
# - Train `branches, sum` and `branches, concatenated` with five seeds each. Does one win?
# - Give `Stack` a BatchNorm after each convolution, and draw the picture of section 3 again. Up to
#   which depth does the plain chain learn now?
# - Put the ReLU of the residual block in other places (He et al., 2016, arXiv:1603.05027).
# - Run this notebook again with other seeds. How often does `choose` pick the same network?
# - What if two notebooks write to the same board at once? Find out how a run may be lost, and how a
#   lock file would prevent it.
