# %% [markdown]
# # 5.1 Training and evaluating simple CNNs
#
# In this lab a computer learns to read handwritten digits. You build two convolutional neural
# networks (CNNs), train them, and find out honestly how good they are.
#
# **You will learn**
# - how images become tensors: their shape, type and range;
# - how a convolution changes the size of an image;
# - how to train a network, how to test it, and how sure the score is;
# - what dropout does, and two ways to get it wrong;
# - why there are validation images besides the test images, and how to read learning curves;
# - how to keep a trained network in a file.
#
# **You need** some Python, and a first acquaintance with numpy arrays and PyTorch tensors. No
# earlier lab, no graphics card and no internet connection: the images come with Lamplighter. On
# two processor cores all cells together compute for about two minutes. Reading, answering and
# programming take about an hour and a half.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

import lamplighter
from lamplighter import Classifier, ImageData, Preprocessing, Trial, callbacks

device = "cpu"  # where the networks compute; small ones need no graphics card ("cuda")

# %% [markdown]
# ## 1. Images as numbers
#
# MNIST is a collection of 70,000 handwritten digits (LeCun, Cortes and Burges, 1998). It is
# *split* in two: 60,000 **training images**, which a network may learn from, and 10,000 **test
# images**, which it sees only at the end, to be examined. Each image has a **label**: the digit
# that it shows.
#
# Read the **shape** below from left to right: 60,000 images, 1 channel, 28 rows, 28 columns. A
# *channel* is one number for each pixel. Grey images have one channel, colour images three (red,
# green, blue). PyTorch wants images in this order, which is written (N, C, H, W): number, channels,
# height, width. The **type** `uint8` holds whole numbers from 0 to 255; here 0 is black and 255 is
# white.

# %%
mnist = ImageData.mnist()
images, labels = mnist["train"].images, mnist["train"].labels
print("images", images.dtype, images.shape, "values from", images.min(), "to", images.max())
print("labels", labels.dtype, labels.shape, "the first ten:", labels[:10])
lamplighter.contact_sheet(images[:16], [f"label {label}" for label in labels[:16]], columns=8)

# %% grading="skip"
part = images[0, 0, 4:14, 12:22]
figure, (whole, close) = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
whole.imshow(images[0, 0], cmap="gray")
whole.add_patch(plt.Rectangle((11.5, 3.5), 10, 10, fill=False, color="#e69f00", linewidth=2))
whole.set_title("The first image")
close.imshow(part, cmap="gray", vmin=0, vmax=255)
for row, column in np.ndindex(part.shape):
    colour = "black" if part[row, column] > 127 else "white"
    close.text(column, row, part[row, column], color=colour, ha="center", va="center", fontsize=8)
close.set_title("What is in the frame, as numbers")
for axis in (whole, close):
    axis.axis("off")
plt.show()

# %% [markdown]
# ### Exercise 5.1-a: to tensors
#
# A network computes with decimal numbers, and learns most easily from small ones. Complete
# `to_tensors`. It takes numpy arrays like `images` and `labels` above and returns two PyTorch
# tensors:
# - the images as `torch.float32`, of the same shape, where black is 0 and white, 255, is 1;
# - the labels as `torch.int64`, with their values unchanged.


# %% exercise="5.1-a" points=1
def to_tensors(images, labels):
    """Return images as float32 from 0 (black) to 1 (white), and labels as int64."""
    ### BEGIN SOLUTION
    return torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long()
    ### END SOLUTION


# %% tests="5.1-a"
few_images, few_labels = to_tensors(images[:5], labels[:5])
print(few_images.shape, few_images.dtype, "up to", few_images.max().item())
print(few_labels.dtype, few_labels)
### BEGIN HIDDEN TESTS
import numpy as np
import torch

# No image here has a white pixel: 100 is the brightest.
pixels = (np.arange(3 * 28 * 28) % 101).astype(np.uint8).reshape(3, 1, 28, 28)
digits = np.array([7, 0, 3])
seen = learner("to_tensors(pixels, digits)", pixels=pixels, digits=digits)
assert isinstance(seen, (tuple, list)) and len(seen) == 2, (
    f"expected two tensors, images and labels, saw {type(seen).__name__}"
)
for tensor, name, wanted in zip(
    seen, ("images", "labels"), (torch.float32, torch.int64), strict=True
):
    assert isinstance(tensor, torch.Tensor), f"{name}: expected a tensor, saw {type(tensor)}"
    assert tensor.dtype == wanted, f"{name}: expected {wanted}, saw {tensor.dtype}"
assert seen[0].shape == (3, 1, 28, 28), f"expected the same shape, saw {tuple(seen[0].shape)}"
brightest = float(seen[0].max())
assert abs(brightest - 100 / 255) < 1e-4, (
    f"three dark images with values up to 100: expected up to {100 / 255:.3f}, saw {brightest:.3f}"
)
assert np.allclose(seen[0].numpy() * 255, pixels, atol=1e-3), "the pixels are not in their places"
assert seen[1].tolist() == [7, 0, 3], f"expected the labels 7, 0, 3, saw {seen[1].tolist()}"
### END HIDDEN TESTS

# %% [markdown]
# ## 2. What a convolution does to a shape
#
# A **convolution** moves a small grid of weights, the **kernel**, over the image. At each place it
# multiplies every weight with the pixel under it and adds up the products. That sum is one value
# of the output. The output is an image again, called a **feature map**, since it is bright
# wherever the image shows what the kernel looks for: its *feature*.
#
# The kernel must lie wholly inside the image, so the feature map is a little smaller. The number
# of pixels that the kernel moves from one place to the next is called **stride**; it is 1 unless
# somebody says otherwise. A border of zeros laid round the image beforehand is called **padding**;
# there is none unless somebody says otherwise.
#
# A layer has many kernels, and each makes a feature map of its own. The maps are the channels of
# the layer's output.

# %% grading="skip"
figure, (before, after) = plt.subplots(1, 2, figsize=(7, 3.6))
for axis, side, title in ((before, 6, "image: 6 x 6"), (after, 4, "feature map: 4 x 4")):
    axis.imshow(np.ones((side, side)), cmap="gray", vmin=0, vmax=1)
    axis.set_xticks(np.arange(side) - 0.5)
    axis.set_yticks(np.arange(side) - 0.5)
    axis.grid(color="0.7")
    axis.tick_params(labelbottom=False, labelleft=False, length=0)
    axis.set_title(title)
for place, colour in ((0, "#0072b2"), (3, "#d55e00")):
    corner = (place - 0.5, place - 0.5)
    before.add_patch(plt.Rectangle(corner, 3, 3, color=colour, alpha=0.5))
    after.add_patch(plt.Rectangle(corner, 1, 1, color=colour, alpha=0.5))
figure.suptitle("A 3 x 3 kernel at its first and at its last place")
plt.show()

# %% [markdown] question="5.1-q1" points=2
# **5.1-q1** Work this out on paper, before you let PyTorch tell you.
#
# A batch of 128 images of shape (1, 28, 28) goes through a convolution with 32 kernels of 5 x 5.
# What is the shape of the output, and how did you find each of its four numbers?
#
# The same batch goes through 16 kernels that are 7 rows high and 3 columns wide. What is the shape
# of the output? What is left of it after *max pooling* with 2 x 2, which keeps the largest value of
# every square of 2 x 2 values, side by side?
#
# <!-- BEGIN SOLUTION -->
# 5 x 5: (128, 32, 24, 24). The number of images does not change. Each of the 32 kernels makes one
# channel. The top left corner of a kernel can lie in the rows 0 to 23, that is in 28 - 5 + 1 = 24
# places from top to bottom, and in as many from left to right.
#
# 7 x 3: (128, 16, 22, 26), since 28 - 7 + 1 = 22 rows and 28 - 3 + 1 = 26 columns. A high kernel
# costs rows, a wide one columns. Pooling leaves half of each: (128, 16, 11, 13).
# <!-- END SOLUTION -->

# %% [markdown]
# ### Exercise 5.1-b: computing shapes
#
# Complete `output_size`. Sizes are pairs, as in PyTorch: (height, width). `stride` and `padding`
# are the same in both directions; `padding=1` adds one row of zeros above *and* one below, and the
# same left and right. Max pooling moves in the same way as a convolution, so your function will
# serve for it as well: 2 x 2 pooling has a kernel of (2, 2) and a stride of 2. Where the last step
# would leave the image, it is not taken.


# %% exercise="5.1-b" points=2
def output_size(size, kernel, stride=1, padding=0):
    """Return (height, width) of what a convolution or a pooling leaves of an image.

    size and kernel are pairs (height, width); stride and padding are whole numbers.
    """
    ### BEGIN SOLUTION
    height, width = size
    places_down = (height + 2 * padding - kernel[0]) // stride + 1
    places_across = (width + 2 * padding - kernel[1]) // stride + 1
    return places_down, places_across
    ### END SOLUTION


# %% tests="5.1-b"
print("after 5 x 5:", output_size((28, 28), (5, 5)))
print("after 7 x 3:", output_size((28, 28), (7, 3)))
### BEGIN HIDDEN TESTS
import torch

rule = "count the places where the kernel lies wholly inside the image with its padding"
cases = [((30, 20), (5, 5), 1, 0), ((20, 31), (7, 3), 1, 0), ((17, 30), (3, 5), 1, 2)]
cases += [((22, 26), (2, 2), 2, 0), ((13, 11), (2, 2), 2, 0), ((19, 14), (4, 3), 3, 1)]
for size, kernel, stride, padding in cases:
    layer = torch.nn.Conv2d(1, 1, kernel, stride=stride, padding=padding)
    expected = tuple(layer(torch.zeros(1, 1, *size)).shape[2:])
    seen = learner(
        "tuple(output_size(size, kernel, stride=stride, padding=padding))",
        size=size, kernel=kernel, stride=stride, padding=padding,
    )  # fmt: skip
    assert seen == expected, (
        f"image {size}, kernel {kernel}, stride {stride}, padding {padding}: "
        f"expected {expected}, saw {seen}; {rule}"
    )
### END HIDDEN TESTS

# %% [markdown]
# Does PyTorch agree? Here are two kernels made by hand. One answers to edges that lie
# flat, white above black; the other to upright edges, white to the left of black. In the pictures
# below violet is positive: the kernel finds its edge. Orange is negative: black and white are
# the other way round.

# %%
train_images, train_labels = to_tensors(images, labels)
test_images, test_labels = to_tensors(mnist["test"].images, mnist["test"].labels)
flat = torch.tensor([1.0, 1.0, 0.0, -1.0, -1.0]).view(5, 1).expand(5, 5)
kernels = torch.stack([flat, flat.T]).unsqueeze(1)  # (2, 1, 5, 5): two kernels, one channel
maps = F.conv2d(train_images[:1], kernels)
print("two 5 x 5 kernels:", tuple(maps.shape))
print("16 kernels of 7 x 3:", tuple(nn.Conv2d(1, 16, (7, 3))(train_images[:128]).shape))

# %% grading="skip"
figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained")
axes[0].imshow(train_images[0, 0], cmap="gray")
axes[0].set_title("The image, 28 x 28")
for axis, feature_map, name in zip(axes[1:], maps[0], ("flat", "upright"), strict=True):
    drawn = axis.imshow(feature_map, cmap="PuOr", vmin=-10, vmax=10)
    axis.set_title(f"Its {name} edges, 24 x 24")
figure.colorbar(drawn, ax=axes[2], label="value of the feature map")
for axis in axes:
    axis.axis("off")
plt.show()

# %% [markdown]
# Nobody will choose the kernels of our networks by hand. They begin as random numbers, and
# training changes them until they are of use.
#
# ## 3. A first network
#
# `SimpleCNN` consists of these **layers**:
# - a convolution with 32 kernels of 5 x 5;
# - **ReLU**, which sets negative values to 0. Without something of the kind between them, two
#   layers of weighted sums could do no more than one;
# - **max pooling** with 2 x 2, which makes the maps smaller and forgives small shifts;
# - **dropout** with 0.2: in training a fifth of the values is set to 0. More of this below;
# - all values in one long row (*flatten*);
# - a **dense** layer, also called *fully connected* (hence `fc1`): 128 weighted sums, each over all
#   of these values; and ReLU;
# - a dense layer with ten outputs, one for each digit. These are called **logits**: scores of any
#   size, the highest of which is the network's answer. The function *softmax* turns logits into
#   probabilities: positive numbers that add up to 1, in the same order.
#
# The cell below counts the numbers that training will change. Each layer has a tensor of *weights*
# and one of *biases*; a bias is a number that is added to a weighted sum.


# %%
class SimpleCNN(nn.Module):
    """One convolution with 32 kernels of 5 x 5, then two dense layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=5)
        self.dropout = nn.Dropout(0.2)
        self.fc1 = nn.Linear(32 * 12 * 12, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, images):  # (N, 1, 28, 28)
        maps = F.relu(self.conv1(images))  # (N, 32, 24, 24)
        maps = F.max_pool2d(maps, 2)  # (N, 32, 12, 12)
        values = self.dropout(maps).flatten(1)  # (N, 4608)
        hidden = F.relu(self.fc1(values))  # (N, 128)
        return self.fc2(hidden)  # (N, 10): logits


torch.manual_seed(1)  # random numbers, but the same ones each time
model = SimpleCNN()
for name, weights in model.named_parameters():
    print(f"{name:14}{tuple(weights.shape)!s:18}{weights.numel():>8,} numbers")

# %% [markdown] question="5.1-q2" points=1
# **5.1-q2** Which layer holds nearly all of the numbers? Why does the convolution need so few,
# although it computes 32 x 24 x 24 values?
#
# <!-- BEGIN SOLUTION -->
# The first dense layer: 4,608 x 128 weights, 590 thousand of 592 thousand numbers. Each of its
# outputs has a weight of its own for every value that comes in. The convolution uses the same 25
# weights and one bias at all places of an image, so that its 32 kernels have 32 x 26 = 832 numbers
# in all.
# <!-- END SOLUTION -->

# %%
# What does the network say before it has learned anything?
model.eval()
with torch.no_grad():  # we want answers only, nothing that training would need
    logits = model(train_images[:1])
print("logits       ", logits.numpy().round(2))
print("probabilities", F.softmax(logits, dim=1).numpy().round(2))
print("answer", logits.argmax(dim=1).item(), "- label", train_labels[0].item())

# %% [markdown]
# ## 4. Training and testing
#
# Training goes in small steps. For each step we take some images, here 128: a **batch**. The
# **loss** says how bad the network's answers are for these. We use the *cross-entropy*: it is near
# 0 if the right digit got a probability near 1, and grows as that probability falls. It takes
# logits, and does the softmax by itself.
#
# The **optimiser** then changes each weight a little in the direction that lowers the loss. That
# direction is found from the **gradient**, which says for each weight how the loss would change
# with it. How far the optimiser goes is set by the **learning rate**. Ours, Adam (Kingma and Ba,
# 2014, arXiv:1412.6980), adapts its steps to each weight; its learning rate is 0.001 unless we say
# otherwise.
#
# When every training image has been used once, an **epoch** is over. The images are shuffled
# before each, so that the batches are always new ones.
#
# A `Trial` is one sentence: this network, this optimiser, this loss; measure that. Then it gets
# its data and is run. Three epochs take about half a minute; ten would be a little better.

# %%
loss_function = nn.CrossEntropyLoss()
trainset = TensorDataset(train_images, train_labels)
trainloader = DataLoader(trainset, batch_size=128, shuffle=True)
testloader = DataLoader(TensorDataset(test_images, test_labels), batch_size=128)

# %% long=true grading="skip"
optimiser = torch.optim.Adam(model.parameters())

trial = Trial(model, optimiser, loss_function, metrics=["loss", "accuracy"]).to(device)
trial.with_generators(trainloader, test_generator=testloader)
trial.run(epochs=3)
results = trial.evaluate(data_key=lamplighter.TEST_DATA)
print(results)

right = round(results["test_acc"] * len(test_labels))
print("test accuracy of SimpleCNN:", lamplighter.wilson(right, len(test_labels)))

# %% [markdown]
# **Accuracy** is the share of images that are answered right. What stands behind "epoch" was
# measured on images that the network was learning from at that time. Only the last two lines are
# about images it had never seen, and only they tell what to expect of new ones.
#
# How sure is this number? With 10,000 other digits from the same writers it would have come out a
# little different. The **95 % interval** says how much: calculated in this way, such intervals hold
# the true accuracy 95 times in 100 (Wilson, 1927). A score without its interval tells only half.

# %% [markdown]
# ## 5. Dropout, wrong and right
#
# **Dropout** (Hinton and others, 2012, arXiv:1207.0580) sets a random part of the values to 0 in
# each training step. So the network cannot come to rely on any single value, and learns
# less by heart. What remains is scaled up, so that sums stay as large as they were on average.
#
# When the network is to answer, nothing may be dropped. PyTorch cannot know which of the two you
# are doing: you have to say so. `train()` sets a network and all its layers to training mode,
# `eval()` to evaluation mode.

# %%
dropout = nn.Dropout(0.2)
ones = torch.ones(10)
torch.manual_seed(2)
for call in (1, 2):
    print(f"training mode, call {call}:  ", dropout.train()(ones).tolist())
print("evaluation mode, always:", dropout.eval()(ones).tolist())

# %% [markdown]
# ### Wrong, the first way: forgetting `eval()`
#
# A new network is in training mode. Whoever asks it without calling `eval()` gets another answer
# each time. We ask our trained network forty times about an image that leaves it in two minds.


# %% grading="skip"
def probabilities(images):
    with torch.no_grad():
        return F.softmax(model(images), dim=1)


model.eval()
sureness = probabilities(test_images[:500])[torch.arange(500), test_labels[:500]]
hardest = int((sureness - 0.5).abs().argmin())
image, label = test_images[hardest : hardest + 1], int(test_labels[hardest])
after_eval = [probabilities(image)[0, label].item() for call in range(40)]
model.train()  # as if eval() had been forgotten
forgotten = [probabilities(image)[0, label].item() for call in range(40)]
figure, (shown, axis) = plt.subplots(
    1, 2, figsize=(9, 3.2), width_ratios=(1, 3), layout="constrained"
)
shown.imshow(image[0, 0], cmap="gray")
shown.set_title(f"Label {label}")
shown.axis("off")
axis.plot(range(1, 41), forgotten, "o", color="#d55e00", label="eval() forgotten")
axis.plot(range(1, 41), after_eval, "-", color="#0072b2", label="after eval()")
axis.set(title=f"Probability of a {label}, from call to call", xlabel="call", ylim=(0, 1))
axis.legend(loc="upper right")
plt.show()

# %% [markdown]
# `Trial` and everything else in Lamplighter that answers calls `eval()` for you. In loops of your
# own you have to do it.
#
# ### Wrong, the second way: dropout that nobody can switch off
#
# `F.dropout` is a function. It has no mode, and unless it is told otherwise it always drops. Here
# `eval()` does not help, and no error tells of it. But a `Trial` looks for classic mistakes before
# it trains: the line that begins with a name in brackets is its. What it found is kept in
# `findings`.


# %% grading="skip"
class CarelessCNN(SimpleCNN):
    """SimpleCNN with a mistake."""

    def forward(self, images):
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        values = F.dropout(maps, 0.2).flatten(1)
        return self.fc2(F.relu(self.fc1(values)))


careless = CarelessCNN().eval()
with torch.no_grad():
    first, second = careless(test_images[:1]), careless(test_images[:1])
print("largest difference between two answers:", round((first - second).abs().max().item(), 3))

some = DataLoader(TensorDataset(train_images[:640], train_labels[:640]), 64, shuffle=True)
optimiser = torch.optim.Adam(careless.parameters())
careless_trial = Trial(careless, optimiser, loss_function, verbose=0).with_generators(some)
careless_trial.run(epochs=1)
print("found:", [finding.name for finding in careless_trial.findings])

# %% [markdown]
# ### Exercise 5.1-c: dropout right
#
# Mend the network: complete `forward` so that in training mode a fifth of the pooled values is
# dropped, and in evaluation mode none. `values` must have the shape (N, 4608), as before.


# %% exercise="5.1-c" points=2
class MendedCNN(SimpleCNN):
    """SimpleCNN again, with dropout in training mode alone."""

    def forward(self, images):
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        ### BEGIN SOLUTION
        values = F.dropout(maps, 0.2, training=self.training).flatten(1)
        ### END SOLUTION
        return self.fc2(F.relu(self.fc1(values)))


# %% tests="5.1-c"
mended, image = MendedCNN().eval(), test_images[:1]
with torch.no_grad():
    print("the same answer twice:", torch.equal(mended(image), mended(image)))
### BEGIN HIDDEN TESTS
import torch

# Weights that hand the first ten pooled values, each 1, on to the logits: what is dropped shows.
state = learner("SimpleCNN().state_dict()")
state = {name: torch.zeros_like(weights) for name, weights in state.items()}
state["conv1.bias"] += 1
state["fc1.weight"][:10, :10] = state["fc2.weight"][:, :10] = torch.eye(10)
code = """
network = MendedCNN()
network.load_state_dict(state)
torch.manual_seed(3)
with torch.no_grad():
    found = [network.train()(images), network.eval()(images), network.eval()(images)]
found
"""
images = torch.zeros(500, 1, 28, 28)
training, first, second = learner(code, state=state, images=images)
assert training.shape == (500, 10), f"expected ten logits an image, saw {tuple(training.shape)}"
assert torch.equal(first, second), (
    "in evaluation mode: expected the same answers to the same images, saw two different ones"
)
assert torch.allclose(first, torch.ones_like(first)), (
    "in evaluation mode: expected the values as they are, saw others"
)
dropped = (training == 0).float().mean().item()
assert abs(dropped - 0.2) < 0.03, (
    f"in training mode: expected about a fifth of the values dropped, saw {100 * dropped:.0f} %"
)
assert abs(training.max().item() - 1.25) < 1e-3, (
    f"in training mode: expected values of 1 scaled up to 1.25, saw {training.max().item():.2f}"
)
### END HIDDEN TESTS

# %% [markdown] question="5.1-q3" points=1
# **5.1-q3** A friend tests one trained network several times on the same images. The accuracy is
# 98.2 %, then 98.4 %, then 98.1 %. What has gone wrong, which two places in the code would you look
# at, and will the real accuracy more likely be higher or lower?
#
# <!-- BEGIN SOLUTION -->
# Dropout is still on while the network is tested. Either `eval()` was not called before testing
# (or `train()` was called after it), or the network uses a dropout that does not follow the mode,
# such as `F.dropout` without `training=self.training`. More likely higher: with dropout a part of
# what the network knows is missing from each answer.
# <!-- END SOLUTION -->

# %% [markdown]
# ### Exercise 5.1-d: testing by hand
#
# Write the test that `trial.evaluate` did for you. `count_right` gets a network in whichever mode,
# and a loader, which gives pairs of a batch of images and its labels. Return how many images are
# answered right. Mind the mode. Gradients are for training alone: save the time and memory that
# they take with `torch.no_grad()`.


# %% exercise="5.1-d" points=2
def count_right(network, loader):
    """Return how many images of `loader` the network answers right, as a whole number."""
    ### BEGIN SOLUTION
    network.eval()
    right = 0
    with torch.no_grad():
        for batch, answers in loader:
            right += (network(batch).argmax(dim=1) == answers).sum().item()
    return right
    ### END SOLUTION


# %% tests="5.1-d"
print(count_right(model, testloader), "of", len(test_labels), "test images right")
### BEGIN HIDDEN TESTS
import torch

# A network whose logits are the first ten pixels, and that notes how it is asked.
code = """
class Probe(torch.nn.Module):
    def forward(self, images):
        noted.append((self.training, torch.is_grad_enabled()))
        return images.flatten(1)[:, :10]
noted = []
seen = count_right(Probe().train(), list(zip(images.split(40), labels.split(40))))
[seen, noted]
"""
torch.manual_seed(8)
images, labels = torch.rand(90, 1, 28, 28), torch.randint(10, (90,))
images.flatten(1)[torch.arange(60), labels[:60]] += 1
expected = int((images.flatten(1)[:, :10].argmax(dim=1) == labels).sum())
seen, noted = learner(code, images=images, labels=labels)
assert noted, "expected the network that is given to be asked, saw that it was not"
assert isinstance(seen, (int, float, torch.Tensor)), f"expected a number, saw {seen!r}"
numbers = torch.as_tensor(seen).numel()
assert numbers == 1, f"expected one number, how many are right; saw a tensor of {numbers}"
assert float(seen) == expected, (
    f"90 images in batches of 40, 40 and 10, of which {expected} are answered right: "
    f"saw {float(seen):g}; count over all batches, and no share"
)
assert not any(training for training, _ in noted), (
    "given a network in training mode: expected it to be tested in evaluation mode, "
    "saw training mode"
)
assert not any(gradients for _, gradients in noted), (
    "expected a test without gradients, which cost time and memory; saw that they were on"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Validation: a test that you may look at
#
# There is always something to choose: the network, the learning rate, the number of epochs. It is
# tempting to try many settings and keep the one with the best test score. But then the test
# images took part in the choice, and their score is no longer that of unseen images. It is too
# good, and more so the more you tried.
#
# So we set some of the training images aside: the **validation images**. They serve for all
# choices, as often as we like. The test images are for the very end.
#
# A game of chance shows what happens otherwise. Twenty "networks" are equally good: each answers
# any digit right with a probability of 99 %. We test all twenty and keep the best.

# %%
rng = np.random.default_rng(1)
tested = rng.binomial(10_000, 0.99, size=20) / 10_000
print(f"the best of twenty had a test accuracy of {100 * tested.max():.2f} %")
later = rng.binomial(10_000, 0.99, size=100_000) / 10_000
print(f"on new images it has, as all of them, {100 * later.mean():.2f} %")

# %%
chance = torch.Generator().manual_seed(1)
learnset, valset = random_split(trainset, [55_000, 5_000], generator=chance)
learnloader = DataLoader(learnset, batch_size=128, shuffle=True)
valloader = DataLoader(valset, batch_size=500)
print(f"{len(learnset):,} images to learn from, {len(valset):,} for validation")
print("validation images of each digit:", train_labels[valset.indices].bincount().tolist())

# %% [markdown] question="5.1-q4" points=2
# **5.1-q4** Ann tries 30 settings and reports the best of their 30 test accuracies, 99.4 %. Ben
# tries 30 settings, takes the one that does best on validation images, tests that one once, and
# reports 99.3 %. Whose network would you expect to do better on new digits? Whose number would you
# believe, and why? Is Ben's best *validation* accuracy a number to report?
#
# <!-- BEGIN SOLUTION -->
# Neither network need be better: both were chosen in much the same way, and 0.1 % is within the
# uncertainty of a test with 10,000 images. Ben's number can be believed: his test images took no
# part in any choice. Ann's is the largest of 30 numbers, part of which is luck with just
# these images, so that it is likely to be too high. For the same reason Ben's best validation
# accuracy is not one to report: it was chosen as the largest.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 7. A better network
#
# A second convolution looks at the maps of the first. Each of its kernels has a grid of weights for
# every one of these maps, and adds up over all of them. So it can find combinations of features:
# strokes of edges, and corners of strokes. `BetterCNN` has these layers:
#
# | layer | name | what it does |
# | --- | --- | --- |
# | convolution | `conv1` | 30 kernels of 5 x 5, then ReLU |
# | max pooling | | 2 x 2 |
# | convolution | `conv2` | 15 kernels of 3 x 3, then ReLU |
# | max pooling | | 2 x 2 |
# | dropout | | a fifth of the values, in training alone |
# | dense | `fc1` | 128 outputs, then ReLU |
# | dense | `fc2` | 50 outputs, then ReLU |
# | dense | `fc3` | 10 outputs: the logits |
#
# ### Exercise 5.1-e: BetterCNN
# Complete the class. Use the names in the table, so that lab 5.2 can load your weights. How many
# values reach `fc1`? Your `output_size` can tell you.


# %% exercise="5.1-e" points=3
class BetterCNN(nn.Module):
    """Two convolutions, each with pooling, then dropout and three dense layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 30, kernel_size=5)
        ### BEGIN SOLUTION
        self.conv2 = nn.Conv2d(30, 15, kernel_size=3)
        self.dropout = nn.Dropout(0.2)
        self.fc1 = nn.Linear(15 * 5 * 5, 128)
        self.fc2 = nn.Linear(128, 50)
        self.fc3 = nn.Linear(50, 10)
        ### END SOLUTION

    def forward(self, images):  # (N, 1, 28, 28)
        ### BEGIN SOLUTION
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)  # (N, 30, 12, 12)
        maps = F.max_pool2d(F.relu(self.conv2(maps)), 2)  # (N, 15, 5, 5)
        features = self.dropout(maps).flatten(1)  # (N, 375)
        features = F.relu(self.fc1(features))  # (N, 128)
        features = F.relu(self.fc2(features))  # (N, 50)
        return self.fc3(features)  # (N, 10)
        ### END SOLUTION


# %% tests="5.1-e" points=1
print("shape of the logits:", tuple(BetterCNN()(test_images[:4]).shape))
### BEGIN HIDDEN TESTS
seen = learner("{name: tuple(w.shape) for name, w in BetterCNN().state_dict().items()}")
wanted = {
    "conv1": ((30, 1, 5, 5), "30 kernels of 5 x 5 for one channel"),
    "conv2": ((15, 30, 3, 3), "15 kernels of 3 x 3, for the channels that conv1 gives"),
    "fc1": ((128, 15 * 5 * 5), "128 outputs, for all values that the second pooling leaves"),
    "fc2": ((50, 128), "50 outputs, for the outputs of fc1"),
    "fc3": ((10, 50), "10 outputs, for the outputs of fc2"),
}
for name, (shape, words) in wanted.items():
    found = seen.get(f"{name}.weight")
    assert found is not None, f"expected a layer {name} with weights, saw {sorted(seen)}"
    assert found == shape, f"{name}: expected {words}; saw weights of shape {found}"
    assert f"{name}.bias" in seen, f"{name}: expected biases, as layers have by default; saw none"
more = sorted({name.split(".")[0] for name in seen} - set(wanted))
assert not more, f"expected no further layers with weights, saw {', '.join(more)}"
### END HIDDEN TESTS

# %% tests="5.1-e" points=2
### BEGIN HIDDEN TESTS
from itertools import combinations

import torch
import torch.nn.functional as F

code = """
network = BetterCNN()
network.load_state_dict(state)
with torch.no_grad():
    found = [network.eval()(images), network.eval()(images), network.train()(images)]
found
"""


def forward(w, x, straight=()):
    relu = {name: (lambda y: y) if name in straight else F.relu for name in "cdef"}
    x = F.max_pool2d(relu["c"](F.conv2d(x, w["conv1.weight"], w["conv1.bias"])), 2)
    x = F.max_pool2d(relu["d"](F.conv2d(x, w["conv2.weight"], w["conv2.bias"])), 2).flatten(1)
    x = relu["e"](F.linear(x, w["fc1.weight"], w["fc1.bias"]))
    x = relu["f"](F.linear(x, w["fc2.weight"], w["fc2.bias"]))
    return F.linear(x, w["fc3.weight"], w["fc3.bias"])


torch.manual_seed(5)
state = {
    name: torch.randn(weights.shape) / max(weights[0].numel(), 1) ** 0.5
    for name, weights in learner("BetterCNN().state_dict()").items()
}
images = torch.rand(50, 1, 28, 28)
answers, again, training = learner(code, state=state, images=images)
assert answers.shape == (50, 10), (
    f"50 images: expected logits of shape (50, 10), saw {tuple(answers.shape)}"
)
assert torch.equal(answers, again), (
    "in evaluation mode: expected the same answers to the same images, saw two different ones"
)
sums = answers.exp().sum(dim=1) if (answers <= 0).all() else answers.sum(dim=1)
assert not torch.allclose(sums, torch.ones(50), atol=1e-3), (
    "expected logits at the end, saw probabilities: the loss takes the softmax by itself"
)
for place in (places for count in range(1, 5) for places in combinations("cdef", count)):
    assert not torch.allclose(answers, forward(state, images, place), atol=1e-3), (
        "expected ReLU after each layer with weights but the last, saw it missing in "
        f"{len(place)} of 4 places"
    )
assert not torch.allclose(answers, F.relu(forward(state, images)), atol=1e-3), (
    "expected ReLU after each layer with weights but the last, saw it after the last as well"
)
difference = (answers - forward(state, images)).abs().max().item()
assert difference < 1e-3, (
    "with weights that the test chose: expected the layers in the order of the table, saw logits "
    f"that differ by up to {difference:.2g}"
)
assert not torch.allclose(training, answers), (
    "in training mode: expected that dropout changes the answers, saw the same ones"
)
# Weights that hand five of the values behind the second pooling, each 1, on to two logits each.
state = {name: torch.zeros_like(weights) for name, weights in state.items()}
state["conv2.bias"] += 1
state["fc1.weight"][:10, :5] = torch.eye(5).repeat(2, 1)
for name in ("fc2", "fc3"):
    state[f"{name}.weight"][:10, :10] = torch.eye(10)
training = learner(code, state=state, images=torch.zeros(500, 1, 28, 28))[2]
dropped = (training == 0).float().mean().item()
assert abs(dropped - 0.2) < 0.03, (
    "in training mode: expected about a fifth of the values after the second pooling dropped, "
    f"saw {100 * dropped:.0f} %"
)
assert torch.equal(training[:, :5] == 0, training[:, 5:] == 0), (
    "in training mode: expected dropout before the first dense layer, saw it after that layer"
)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 5.1-f: at least 99 %
#
# Make a network `better` and train it in a trial `better_trial`, until it answers **at least 99 %**
# of the test images right. Only the checker will look at those. You have `learnloader` and
# `valloader`: give the second to `with_generators` as `val_generator`, and measure both loss and
# accuracy. (`run` returns the history of all epochs; write `history = better_trial.run(...)`, or
# the notebook prints the whole of it.)
#
# With what you did above it may just miss. Two things that help:
# - more epochs, six or so;
# - a learning rate that rises to a peak and then falls to almost nothing (Smith and Topin, 2017,
#   arXiv:1708.07120). Large steps find a good region fast, small ones settle in it. Give the trial
#   `callbacks=[callbacks.OneCycle(max_lr=...)]`, with a peak a few times Adam's usual 0.001. (A
#   *callback* is called at certain moments of the training; this one at every step.)

# %% exercise="5.1-f" points=4 long=true seconds=600
torch.manual_seed(1)
### BEGIN SOLUTION
better = BetterCNN()
better_trial = Trial(
    better,
    torch.optim.Adam(better.parameters()),
    loss_function,
    metrics=["loss", "accuracy"],
    callbacks=[callbacks.OneCycle(max_lr=0.004)],
).to(device)
better_trial.with_generators(learnloader, val_generator=valloader)
history = better_trial.run(epochs=6)
### END SOLUTION

# %% tests="5.1-f" points=1
print(f"validation accuracy {100 * better_trial.history[-1]['val_acc']:.2f} %")
figure = lamplighter.plot_history(better_trial.history)
figure.suptitle("BetterCNN, 55,000 images to learn from")
figure
### BEGIN HIDDEN TESTS
import torch
import torch.nn.functional as F

from lamplighter import ImageData

code = """
with torch.no_grad():
    answers = better.eval()(images.float() / 255)
answers
"""
history = learner("[dict(entry) for entry in better_trial.history]")
assert history, "expected a trial that has been run, saw no epoch in its history"
without = [number for number, entry in enumerate(history, start=1) if "val_loss" not in entry]
assert not without, (
    f"expected the loss on validation images in each epoch, saw none in epoch {without[0]}"
)
assert learner("better_trial.network is better"), "expected `better` in `better_trial`, saw another"
names = learner("[finding.name for finding in better_trial.findings]")
assert "same-data" not in names, (
    "expected validation images that are not learned from, saw that the trial found some that are"
)
test = ImageData.mnist()["test"]
parts = torch.from_numpy(test.images).split(1000)
logits = torch.cat([learner(code, images=part) for part in parts])
labels = torch.from_numpy(test.labels)
loss = F.cross_entropy(logits, labels).item()
accuracy = (logits.argmax(dim=1) == labels).float().mean().item()
last = history[-1]
same = abs(last["val_loss"] - loss) < 1e-5 and abs(last.get("val_acc", accuracy) - accuracy) < 1e-5
assert not same, (
    "expected a validation on images of its own, saw that the test images were used for it"
)
### END HIDDEN TESTS

# %% tests="5.1-f" points=3
### BEGIN HIDDEN TESTS
import torch

from lamplighter import ImageData

code = """
with torch.no_grad():
    answers = better.eval()(images.float() / 255)
answers
"""
test = ImageData.mnist()["test"]
parts = torch.from_numpy(test.images).split(1000)
logits = torch.cat([learner(code, images=part) for part in parts])
assert logits.shape == (10_000, 10), (
    f"10,000 test images: expected (10000, 10) logits, saw {tuple(logits.shape)}"
)
right = int((logits.argmax(dim=1) == torch.from_numpy(test.labels)).sum())
assert right >= 9900, (
    f"expected at least 99 % of the 10,000 test images right, saw {right / 100:.2f} %"
)
# Who learned from the test images knows these, and not so well the training images.
train = ImageData.mnist()["train"]
parts = torch.from_numpy(train.images[:10_000]).split(1000)
answers = torch.cat([learner(code, images=part) for part in parts]).argmax(dim=1)
known = int((answers == torch.from_numpy(train.labels[:10_000])).sum())
assert known >= 9850, (
    "expected a network that learned from the images of `learnloader`, saw only "
    f"{known / 100:.2f} % of 10,000 training images right"
)
### END HIDDEN TESTS

# %% [markdown]
# ### Reading learning curves
#
# The figure above shows **learning curves**: loss and accuracy after each epoch, on the images that
# are learned from and on the validation images. You may find the validation better than the
# training at first. That is no mistake: in training dropout is on, and the training values are the
# mean over the whole epoch, during which the network was still improving.
#
# Curves can look quite different. Here a network has only 500 images to learn from, for 40 epochs.

# %% long=true grading="skip"
torch.manual_seed(1)
small = SimpleCNN()
few = DataLoader(Subset(learnset, range(500)), batch_size=50, shuffle=True)
unseen = DataLoader(Subset(valset, range(1000)), batch_size=500)
optimiser = torch.optim.Adam(small.parameters())

small_trial = Trial(small, optimiser, loss_function, metrics=["loss", "accuracy"], verbose=0)
small_trial.to(device).with_generators(few, val_generator=unseen)
small_trial.run(epochs=40)
figure = lamplighter.plot_history(small_trial.history)
figure.suptitle("SimpleCNN, 500 images to learn from")
figure

# %% [markdown] question="5.1-q5" points=2
# **5.1-q5** Describe the curves of the 500 images. What is happening where the training loss still
# falls and the validation loss does not? After how many epochs would you have stopped, and
# what would help more than any choice of epochs? Why would it be wrong to find the best epoch with
# the test images?
#
# <!-- BEGIN SOLUTION -->
# At first both losses fall. Later the training loss goes on to almost 0, and nearly all training
# images are right, while the validation loss stays where it is or rises: the network learns its
# 500 images by heart, which does not help with others. This is called overfitting. One would stop
# about where the validation loss is lowest. More images would help most (or
# changed copies of them, or more dropout). Choosing the epoch by the test images would make them
# part of the choice, so that their score would be too good.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 8. The test, once
#
# Now everything is chosen, and the test images may be used. A `Classifier` is a network together
# with what is needed to use it: how an image becomes its input, and the names of its classes. Many
# networks want a mean subtracted from all pixels, and the rest divided by a standard deviation.
# Ours take pixels from 0 to 1 as they are, which is the same as a mean of 0 and a deviation of 1.
# (`find_digit` is for photographs of digits, which come in lab 5.2.)
#
# Both networks answer the *same* images. So one can do better than to compare two intervals, and
# look only at images where one is right and the other wrong. If the networks were equally good,
# such images would be shared out like the falls of a coin. *p* is the probability that a coin
# falls at least as unevenly; if it is under 0.05, we do not believe in chance (McNemar, 1947).
#
# The pictures are the worst mistakes of `better`, those first that it was most sure of.

# %% grading="skip"
preprocessing = Preprocessing(
    height=28, width=28, channels=1, mean=(0.0,), std=(1.0,), find_digit=True
)
samples = mnist["train"].images[:32]  # some images to try a classifier on when it is saved
simple_classifier = Classifier(model, preprocessing, mnist.class_names, samples=samples)
classifier = Classifier(better, preprocessing, mnist.class_names, samples=samples)

comparison = lamplighter.compare(simple_classifier, classifier, mnist, "test")
print("SimpleCNN", comparison.a.accuracy)
print("BetterCNN", comparison.b.accuracy)
print(comparison.sentence("SimpleCNN", "BetterCNN"))
lamplighter.mistakes_sheet(comparison.b, mnist, 12, columns=6)

# %% [markdown]
# ## 9. Saving
#
# The numbers that training found are in the **state dict** of a network: a dictionary from names
# such as `conv1.weight` to tensors. That is what one writes to a file. The file does not hold the
# class `BetterCNN`: whoever loads it must have the class too.
#
# ### Exercise 5.1-g: there and back
# Save the state dict of `better` to the file `better-cnn.pt` with `torch.save`. Then make a new
# network `again`, load the weights from the file into it, and make it ready to answer. Read the
# file with `torch.load(..., weights_only=True)`. That takes nothing but tensors from the file;
# without it a file from a stranger could run code on your machine.

# %% exercise="5.1-g" points=2
### BEGIN SOLUTION
torch.save(better.state_dict(), "better-cnn.pt")
again = BetterCNN()
again.eval()
again.load_state_dict(torch.load("better-cnn.pt", weights_only=True))
### END SOLUTION

# %% tests="5.1-g"
print(sorted(torch.load("better-cnn.pt", weights_only=True)))
### BEGIN HIDDEN TESTS
import torch

read = 'torch.load("better-cnn.pt", weights_only=True)'
error = learner.error(f"len({read})")
assert error != "FileNotFoundError", "expected a file better-cnn.pt, saw none of that name"
assert error is None, (
    f"expected a file with weights and nothing else; reading it so raised {error}: was the whole "
    "network saved?"
)
saved, own = learner(read), learner("better.state_dict()")
assert isinstance(saved, dict) and set(saved) == set(own), (
    f"expected the names of the weights of `better` in the file, saw {sorted(saved)[:4]}"
)
for name, weights in own.items():
    assert torch.equal(saved[name], weights), f"expected {name} as in `better`, saw other values"

torch.manual_seed(6)
images = torch.rand(20, 1, 28, 28)
code = """
with torch.no_grad():
    found = [again(images), again(images), better.eval()(images)]
found
"""
assert not learner("again is better"), "expected a new network `again`, saw `better` itself"
first, second, expected = learner(code, images=images)
assert torch.equal(first, second), (
    "asked twice: expected the same answers from `again`, saw different ones: is it ready to answer"
)
difference = (first - expected).abs().max().item()
assert difference < 1e-4, (
    f"expected `again` to answer as `better` does, saw logits that differ by up to {difference:.2g}"
)
### END HIDDEN TESTS

# %% [markdown]
# A **bundle**, a file whose name ends in `.lamp`, keeps the whole classifier: its weights and
# preprocessing, the class names, the scores that were measured, and the network's computation in a
# form that needs neither your class nor PyTorch. It is written only if both forms answer alike.

# %% grading="skip"
path = lamplighter.save(classifier, "better-cnn.lamp")
described = lamplighter.describe(path)
print("images:", classifier.preprocessing.describe())
print(f"test accuracy: {described['record']['scores']['test']['accuracy']['value']:.4f}")
print("classes:", " ".join(described["class_names"]))

# %% [markdown]
# Keep both files in this folder: lab 5.2 opens them and looks at what each of them knows.
#
# ## What to take with you
# - Shapes are (N, C, H, W); a kernel must lie wholly inside the image.
# - Train on training images, choose by validation images, test once. Give the interval.
# - `eval()` before you ask, and no dropout that does not know its mode.
#
# ## Going further
# - Run `SimpleCNN` for ten epochs. By how much does the test accuracy rise, compared with the width
#   of its interval?
# - Train `BetterCNN` five times, with five seeds. How far do the validation accuracies lie apart?
#   What does that mean for the comparison of two networks that were trained once each?
# - Find a learning rate with `lamplighter.find_learning_rate` and `plot_learning_rates`.
# - Take other kernels in `conv1`: 3 x 3, 7 x 7, 7 x 3. What changes in `fc1`?
# - Move the training images a little at random: give `augmentation=lamplighter.RandomShift(1)` to
#   `mnist.hold_out(0.1).batches("train", ...)`, and take the validation batches from there too.
# - Shuffle the labels of the images to learn from, and train. What do both learning curves do?
