# %% [markdown]
# # 6.1 Transfer learning and fine tuning
#
# A network that has learned from a million photos knows about edges, textures, parts and things.
# In this lab you make such a network your own. A few hundred pictures and an ordinary computer
# are enough, where training from nothing would need far more of both.
#
# **You will learn**
#
# - how to read images from folders, and what to look for before you train on them;
# - what augmentation does, and where it does harm;
# - how to read a classification report when some classes are rare;
# - how to watch a training with a callback of your own;
# - how to use a pretrained network: as it is, with a new head, frozen, fine-tuned, or only for
#   the features that it computes;
# - how to compare images by their features, and how to let a support vector machine decide;
# - what each of these ways costs in time, and what it gains.
#
# **You need** the labs 5.1 to 5.4, or some practice in training a small network with PyTorch.
# The images are 950 emoji that come with Lamplighter, so nothing is downloaded. Working through
# it takes two to three hours; all cells together compute for about two minutes on two cores.

# %%
import copy
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import lamplighter
from lamplighter import Classifier, ImageData, Trial, callbacks


def show(paths, titles, columns=6, heading=""):
    """Draw image files in rows, each under its title."""
    rows = -(-len(paths) // columns)
    figure = plt.figure(figsize=(1.7 * columns, 2 * rows + 0.3), layout="constrained")
    for number, (path, title) in enumerate(zip(paths, titles, strict=True), start=1):
        place = figure.add_subplot(rows, columns, number)
        place.imshow(lamplighter.open_image(path))
        place.set_title(title, fontsize=9)
        place.axis("off")
    figure.suptitle(heading)
    plt.show()


# %% [markdown]
# ## 1 Images from folders
#
# Images of your own come as files. The usual way to say which image belongs to which class is a
# folder for each class. Above these folders there may be one for each **split**:
#
# - `train`: what the network learns from;
# - `val`, for validation: what you look at while you choose between networks or settings;
# - `test`: what you look at once, at the very end.
#
# Why once? Whoever tries twenty settings and reports the best test score has chosen the setting
# that suits *these* test images. On new images it will be worse.
#
# The emoji have a fourth folder. `test-twemoji` shows the same things as `test`, drawn by another
# artist. It will tell us later what a change of style costs.
#
# `find_files` lists the files and reads the classes and splits off the folders. It does not look
# into the files. `audit` does: it opens each one and reports what is broken, what is there twice,
# and how even the classes are. Do this first with every data set. It takes seconds, and what it
# finds could cost you hours later.

# %%
folder = Path("emoji")
if not folder.exists():
    lamplighter.write_sample("emoji", folder)
print("train/bird:", ", ".join(sorted(path.stem for path in folder.glob("train/bird/*.png"))))

files = lamplighter.find_files(folder)
found = lamplighter.audit(files)
print(found)
print()
for name, *counts in found.balance():
    print(f"{name:20}", "".join(f"{count:>14}" for count in counts))

groups = [group for finding in found.of("near-duplicates") for group in finding.groups]
alike = [path for group in groups for path in group]
show([folder / path for path in alike], [Path(path).stem for path in alike], 6, "Near-copies?")

# %% [markdown]
# A third of all images are flags, and there are only eight musical instruments to learn from.
# Keep that in mind: it will decide how we measure. The file set aside is `ATTRIBUTION.txt`, which
# says who drew the emoji. The audit also names near-copies. Look at them before you believe it:
# whether two pictures are "the same" is for you to say.
#
# ### Which files belong together
#
# A score on test images tells how well the network will do on new images only if the test images
# *are* new. Photos often come in rows: the same boat, a second later. If one frame of a row is in
# `train` and the next one in `test`, the network need only recognise the scene. The score looks
# splendid and means nothing.
#
# So tell the program what belongs together. A **group** is a set of files that must stay on one
# side. Here we pretend that nobody has made splits yet, and that all drawings whose names begin
# with the same word (`smiling-face`, `smiling-face-with-halo`) come from one sketch.


# %%
def torn_apart(files):
    """Return the first words of names that are found in more than one split."""
    splits = {}
    for path, split in zip(files.paths, files.splits, strict=True):
        splits.setdefault(Path(path).stem.split("-")[0], set()).add(split)
    return sorted(word for word, seen in splits.items() if len(seen) > 1)


by_chance = lamplighter.assign_splits(lamplighter.find_files(folder / "train"), seed=1)
grouped = lamplighter.find_files(folder / "train", group=r"^[a-z]+")  # the first word of a name
by_group = lamplighter.assign_splits(grouped, seed=1)
for name, made in (("by chance", by_chance), ("by group", by_group)):
    words = torn_apart(made)
    print(f"{name}: {made}\n  words in several splits: {len(words)}", *words[:9])

# %% [markdown] question="6.1-q1" points=1
# **6.1-q1** A camera above a canal takes a photo each second while a boat passes. The files are
# called by date and time, such as `20130412_064059_20202.jpg`. Somebody splits 5,000 photos by
# chance and measures 99 % on the test images; on the next day's photos it is 70 %. What happened?
# By which part of the name would you group the photos, and what do you lose if groups are too big?
#
# <!-- BEGIN SOLUTION -->
# The frames of one passage are nearly alike. Split by chance, most test photos have a neighbour a
# second away in `train`, so the network could recognise the boat, the light and the waves instead
# of the kind of boat. The next day has other boats and other light, and 70 % is the honest score.
# Group at least by passage, for example by date and hour (`^\d+_\d\d`), or by date, so that a
# whole day is on one side. With groups that are too big there are few of them: the splits can no
# longer have their sizes, rare classes may be missing from one, and the score rests on few days.
# <!-- END SOLUTION -->

# %% [markdown]
# ### From files to arrays
#
# A network takes images of one size. `ImageData.from_folder` reads all files, brings them to that
# size, and keeps them in memory as whole numbers from 0 to 255. The axes are image, channel
# (red, green, blue), row and column. `squash` stretches an image to the size, `crop` cuts off
# what is too much, and `letterbox` adds bars. The emoji have 64 x 64 pixels already.

# %%
data = ImageData.from_folder(folder, size=64)
images, labels = data["train"].images, data["train"].labels
print(data)
print(images.shape, images.dtype, labels.shape)
first = [int(np.flatnonzero(labels == number)[0]) for number in range(len(data.class_names))]
lamplighter.contact_sheet(images[first], data.class_names, columns=6)

# %% [markdown]
# ## 2 Augmentation
#
# With few images a network soon knows them by heart. **Augmentation** shows it something slightly
# different each time: mirrored, turned by a few degrees, moved, brighter or paler. The label stays
# the same. Each change says "this does not matter", so it must be true that it does not matter.
#
# Always look at what your augmentation makes of the images, and ask of each: is it still what its
# label says? Could it have been in the data? Below is first an augmentation that is usual for
# photos. Then you see where the same changes go wrong: a mirrored 2 is no digit, a 6 that stands on
# its head is a 9, and the mirror image of a flag may be the flag of *another country*.

# %%
augmentation = lamplighter.Compose(
    (
        lamplighter.RandomFlip(),
        lamplighter.RandomWarp(degrees=8, scale=0.15, shear=0.05, translate=4, edges="repeat"),
        lamplighter.RandomColour(brightness=0.2, contrast=0.2, saturation=0.2),
    )
)
lamplighter.augmentation_sheet(data, augmentation, count=4, draws=5)

# %% grading="skip"
digits = ImageData.mnist()["test"]
two, six = (digits.images[np.flatnonzero(digits.labels == digit)[0], 0] for digit in (2, 6))
ireland, ivory_coast, indonesia, poland = (
    np.asarray(lamplighter.open_image(folder / name))
    for name in ("test/flag/ireland-flag.png", "train/flag/cote-divoire-flag.png",
                 "test/flag/indonesia-flag.png", "train/flag/poland-flag.png")
)  # fmt: skip
pictures = [
    (two, "2"), (two[:, ::-1], "2, mirrored"), (six, "6"), (six[::-1, ::-1], "6, upside down"),
    (ireland, "Ireland"), (ireland[:, ::-1], "Ireland, mirrored"),
    (ivory_coast, "Ivory Coast"), (indonesia[::-1], "Indonesia, upside down"),
    (poland, "Poland"),
]  # fmt: skip
figure, axes = plt.subplots(1, 9, figsize=(13, 2), layout="constrained")
for place, (pixels, title) in zip(axes, pictures, strict=True):
    place.imshow(pixels, cmap="gray")
    place.set_title(title.replace(", ", ",\n"), fontsize=9)
    place.axis("off")
plt.show()

# %% [markdown] question="6.1-q2" points=2
# **6.1-q2** For each task say which of *mirroring*, *turning by any angle* and *changing colours*
# you would allow, and why: (a) reading handwritten digits; (b) our task, in which all flags are
# one class; (c) telling which country a flag belongs to; (d) finding houses in pictures taken
# from a satellite; (e) telling ripe from unripe tomatoes.
#
# <!-- BEGIN SOLUTION -->
# (a) Neither mirroring nor large angles: they make other digits, or none. A few degrees are fine.
# Colours: the digits are grey; a change of brightness is harmless. (b) Mirroring is fine: a
# mirrored flag is still a flag, a mirrored cat still a cat. Large angles are true to the label too,
# but emoji are never drawn so, and the network would learn what it does not need. Small changes of
# colour are harmless. (c) None: mirroring, turning and colours all make flags of other countries.
# (d) All: there is no up or left in a view from above, and the light changes. (e) Mirroring and
# turning, yes; the colour *is* the answer, so at most a change of brightness.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 3 A small network, from nothing
#
# First the network that you know from lab 5.1: BetterCNN, two convolutions and three dense layers,
# here for images with 3 channels and for 17 classes. How far does it get with 575 images?
#
# You will want to watch it. A **callback** is code that the training calls at certain moments: at
# the start of an epoch, after each batch, at the end. (An *epoch* is one pass over all training
# images, a *batch* the few images that are looked at in one step.) A callback is a function with a
# decorator, and is given a `view` of the training:
#
# ```python
# @callbacks.on_epoch_start
# def announce(view):
#     print("epoch", view.epoch + 1, "of", view.epochs)
# ```
#
# or an object of a class with such methods, `class Announce(callbacks.Callback)` with
# `def on_epoch_start(self, view)`. At the end of an epoch (`on_epoch_end`), `view.metrics` is a
# dictionary with `"loss"` and `"acc"` (accuracy) on the training images, and with `"val_loss"` and
# `"val_acc"` on the validation images. `view.stop()` ends the training after this epoch.

# %% [markdown]
# ### Exercise 6.1-a: a callback of your own (2 points)
#
# A network that is right on its training images and wrong on others has learned by heart. Write a
# callback `watch` that, at the end of each epoch,
#
# 1. appends to the list `gaps` by how much the accuracy on training images is above that on
#    validation images, as in 0.9 - 0.6 = 0.3;
# 2. stops the training if that gap is larger than 0.3.

# %% exercise="6.1-a" points=2
gaps = []

### BEGIN SOLUTION


@callbacks.on_epoch_end
def watch(view):
    gaps.append(view.metrics["acc"] - view.metrics["val_acc"])
    if gaps[-1] > 0.3:
        view.stop()


### END SOLUTION

# %% tests="6.1-a"
### BEGIN HIDDEN TESTS
import torch

code = """
gaps.clear()
torch.manual_seed(3)
small = nn.Sequential(nn.Flatten(), nn.Linear(75, 64), nn.ReLU(), nn.Linear(64, 4))
rule = torch.optim.Adam(small.parameters(), lr=0.01)
trial = lamplighter.Trial(
    small, rule, nn.CrossEntropyLoss(), metrics=["loss", "acc"], callbacks=[watch], verbose=0,
    silence=["same-data"],
)
trial.with_train_data(x, y, batch_size=20).with_val_data(u, v, batch_size=20)
[entry["acc"] - entry["val_acc"] for entry in trial.run(epochs)]
"""
noted = "[float(gap) for gap in gaps]"
random = torch.Generator().manual_seed(5)
x = torch.rand(40, 3, 5, 5, generator=random)
y = torch.randint(0, 4, (40,), generator=random)
expected, seen = learner(code, x=x, y=y, u=x, v=y, epochs=3), learner(noted)
assert len(expected) == 3, (
    f"expected training to go on while the gap is small, saw it stop after {len(expected)} epochs"
)
assert len(seen) == 3, f"expected one gap for each of 3 epochs in `gaps`, saw {len(seen)}"
for epoch, (one, other) in enumerate(zip(expected, seen, strict=True), start=1):
    assert abs(one - other) < 1e-6, (
        f"expected training accuracy minus validation accuracy, {one:.3f} in epoch {epoch} of a "
        f"short training, saw {other:.3f}"
    )


code = """
gaps.clear()
torch.manual_seed(3)
small = nn.Sequential(nn.Flatten(), nn.Linear(75, 64), nn.ReLU(), nn.Linear(64, 4))
rule = torch.optim.Adam(small.parameters(), lr=0.01)
trial = lamplighter.Trial(
    small, rule, nn.CrossEntropyLoss(), metrics=["loss", "acc"], callbacks=[watch], verbose=0
)
trial.with_train_data(x, y, batch_size=20).with_val_data(u, v, batch_size=20)
[entry["acc"] - entry["val_acc"] for entry in trial.run(40)]
"""
random = torch.Generator().manual_seed(5)
x, u = (torch.rand(40, 3, 5, 5, generator=random) for _ in range(2))
y, v = (torch.randint(0, 4, (40,), generator=random) for _ in range(2))
run = learner(code, x=x, y=y, u=u, v=v)  # labels by lot: they can only be learned by heart
assert run[-1] > 0.3, (
    f"expected training to stop only when the gap is above 0.3, saw it stop at {run[-1]:.3f}"
    if len(run) < 40
    else "expected a gap above 0.3 on labels that were drawn by lot, saw none"
)
expected = next(number for number, gap in enumerate(run, start=1) if gap > 0.3)
assert len(run) == expected, (
    f"expected training to stop after epoch {expected}, in which the gap rose above 0.3, saw it "
    f"go on to epoch {len(run)}"
)
seen = learner(noted)
assert len(seen) == len(run), (
    f"expected one gap for each of the {len(run)} epochs of a training that was stopped, saw "
    f"{len(seen)}"
)
for epoch, (one, other) in enumerate(zip(run, seen, strict=True), start=1):
    assert abs(one - other) < 1e-6, (
        f"expected training accuracy minus validation accuracy, {one:.3f} in epoch {epoch}, saw "
        f"{other:.3f}"
    )
### END HIDDEN TESTS

# %% long=true
# Network, optimiser, loss and metrics in one sentence; then the batches; then run.
gaps.clear()
torch.manual_seed(6)
classifier = Classifier.new("better-cnn", data)
model = classifier.network
trainloader = data.batches("train", 32, seed=6)
valloader = data.batches("val", 25)
testloader = data.batches("test", 25)
device = "cuda:0" if torch.cuda.is_available() else "cpu"
loss_function = nn.CrossEntropyLoss()
optimiser = torch.optim.Adam(model.parameters())
trial = Trial(model, optimiser, loss_function, metrics=["loss", "accuracy"], callbacks=[watch]).to(
    device
)
trial.with_generators(trainloader, val_generator=valloader, test_generator=testloader)
start = time.perf_counter()
trial.run(epochs=20)
seconds = {"BetterCNN, from nothing": time.perf_counter() - start}
results = trial.evaluate(data_key=lamplighter.VALIDATION_DATA)
print(results)
print("gaps:", ", ".join(f"{gap:.2f}" for gap in gaps))
figure = lamplighter.plot_history(trial.history)
figure.suptitle("BetterCNN, from nothing")
figure

# %% long=true grading="skip"
# The same once more with augmentation, for as many epochs.
torch.manual_seed(6)
augmented = Classifier.new("better-cnn", data)
optimiser = torch.optim.Adam(augmented.network.parameters())
trial = Trial(augmented.network, optimiser, loss_function, metrics=["loss", "accuracy"], verbose=0)
trial.to(device)
trial.with_generators(data.batches("train", 32, seed=6, augmentation=augmentation), valloader)
trial.run(epochs=len(gaps))
print(lamplighter.compare(classifier, augmented, data, "val").sentence("plain", "augmented"))

# %% [markdown]
# `compare` counts the images on which just one of the two is right, and asks how often chance alone
# would part two equally good networks at least so far. That is `p`; below 0.05 one usually speaks
# of a real difference. Augmentation is no magic. The emoji are drawn upright, in the middle and in
# their own colours, so it prepares the network for what never comes. Photos from a hand that moves
# are another matter. Measure it for your own images.
#
# ### The classification report
#
# One number hides a lot. For each class the report has
#
# - **recall**: of the images *of* this class, the share that was found;
# - **precision**: of the images *called* this class, the share that was right;
# - **F1**: one number for both, twice their product divided by their sum. It is high only if both
#   are.
#
# Recall stands with its 95 % interval. With three images, "one of three" may be anything from 6 to
# 79 %: so little can be learned from three images. A class that was never predicted has no
# precision. *Top 5* counts an image as right if its class is among the first five answers.
# In the **confusion matrix** below, each row is a true class and each column what the network said;
# right answers are on the diagonal, in blue.

# %%
report = lamplighter.evaluate(classifier, data, "val")
print(report)
print()
print(report.table())
lamplighter.plot_confusion(report)

# %% [markdown]
# ### Exercise 6.1-b: macro-F1 (3 points)
#
# Accuracy counts images, so the largest class decides it. **Macro-F1** counts classes: it is the
# plain mean of their F1, and a class of three images weighs as much as one of thirty-nine.
#
# Complete `macro_f1`. It is given a confusion matrix, a numpy array of counts with a row for each
# true class and a column for each predicted one. The F1 of a class is
#
# $$ F_1 = \frac{2 \cdot \text{right}}{\text{images of the class} + \text{images called so}} $$
#
# (convince yourself that this is the formula above). A class that has images but was never
# predicted has an F1 of 0. A class without a single image is left out of the mean.


# %% exercise="6.1-b" points=3
def macro_f1(confusion):
    """Mean F1 of the classes that have images; rows are true classes, columns predicted ones."""
    ### BEGIN SOLUTION
    right = np.diag(confusion)
    of_class, called_so = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * right / np.maximum(of_class + called_so, 1)
    return float(f1[of_class > 0].mean())
    ### END SOLUTION


# %% tests="6.1-b"
print(f"yours {macro_f1(report.confusion):.4f}, Lamplighter's {report.macro_f1.value:.4f}")
# Something that has learned nothing, and says "flag" to every image:
always = np.zeros_like(report.confusion)
always[:, data.class_names.index("flag")] = report.confusion.sum(axis=1)
right = lamplighter.wilson(int(np.trace(always)), int(always.sum()))
print(f"always flag: accuracy {right:.1f}, macro-F1 {100 * macro_f1(always):.1f} %")
print(f"BetterCNN:   accuracy {report.accuracy:.1f}, macro-F1 {report.macro_f1:.1f}")
### BEGIN HIDDEN TESTS
import numpy as np

random = np.random.default_rng(4)
for classes in (2, 3, 6):
    confusion = random.integers(1, 9, (classes, classes)) + np.diag(random.integers(5, 60, classes))
    right, rows, columns = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    expected = float(np.mean(2 * right / (rows + columns)))
    seen = learner("macro_f1(confusion)", confusion=confusion)
    assert np.ndim(seen) == 0, f"expected one number for all classes, saw shape {np.shape(seen)}"
    recall = float(np.mean(right / rows))
    known = {
        "the mean recall": recall,
        "the accuracy": float(right.sum() / confusion.sum()),
        "the mean precision": float(np.mean(right / columns)),
        "a mean that is weighted by the size of the classes": float(
            np.average(2 * right / (rows + columns), weights=rows)
        ),
    }
    like = [name for name, value in known.items() if abs(float(seen) - value) < 1e-9]
    hint = f", which is {like[0]}" if like else ""
    assert abs(float(seen) - expected) < 1e-6, (
        f"for {confusion.tolist()}: expected the plain mean of the F1 of each class, saw "
        f"{float(seen):.4f}{hint}"
    )

for kind, confusion in (
    ("with a class that was never predicted", [[8, 2, 0], [1, 9, 0], [3, 2, 0]]),
    ("with a class without images", [[8, 1, 1], [2, 7, 1], [0, 0, 0]]),
    ("with a class that has no image and was never predicted", [[6, 2, 0], [1, 5, 0], [0, 0, 0]]),
):
    matrix = np.array(confusion)
    there = matrix.sum(1) > 0
    f1 = 2 * np.diag(matrix)[there] / (matrix.sum(1) + matrix.sum(0))[there]
    seen = float(learner("macro_f1(confusion)", confusion=matrix))
    assert abs(seen - f1.mean()) < 1e-6, (
        f"for a matrix {kind}, {confusion}: expected the mean over the {there.sum()} classes that "
        f"have images, with 0 for what was never predicted, saw {seen:.4f}"
    )
### END HIDDEN TESTS

# %% [markdown] question="6.1-q3" points=1
# **6.1-q3** Why is macro-F1 so far below accuracy, for both? Which of the two numbers would you
# report, and when? The interval of BetterCNN's macro-F1 is wide. Why do 125 images not tell it more
# exactly?
#
# <!-- BEGIN SOLUTION -->
# A third of the images are flags, and flags are easy, so accuracy is mostly about flags and faces.
# Macro-F1 gives the rare classes the same weight, and on them the network is poor: for "always
# flag" sixteen of seventeen classes have an F1 of 0. Report accuracy if images will come as
# unevenly as here and each mistake costs the same, macro-F1 if each class matters; best both.
# Many classes have two to four images: one answer more or less moves the F1 of such a class by tens
# of per cent, and macro-F1 by a seventeenth of that, 2 to 4 points; the accuracy only by 0.8.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 4 A network that has seen a million photos
#
# EfficientNet-Lite0 is a small version of EfficientNet (Tan and Le, 2019, arXiv:1905.11946). It
# was trained on ImageNet: 1.2 million photos of 1,000 classes, from fish to bridges. Its weights
# come with Lamplighter. So does its **preprocessing**: mean and spread by which pixels are scaled,
# and the size of the images. With another mean the answers are worse, and no error tells you. The
# size may differ a little: it was trained on 224 x 224 pixels, and we take 160 x 160, which halves
# the time. Our drawings have no more than 64 x 64.
#
# Let it answer: two photos that come with scikit-learn, one of them once more scaled down to a
# width of 64 pixels (so that the network gets it blurred), and two of our emoji. Above each picture
# are its three most likely classes, in words. (The flower is a dahlia; ImageNet has no dahlias.)
#
# (The first call prepares the network and keeps it, which takes some seconds.)

# %% long=true
from PIL import Image
from sklearn.datasets import load_sample_images

base = lamplighter.pretrained("efficientnet-lite0", size=160, fit="squash")
print(base.preprocessing.describe())
china, flower = (Image.fromarray(pixels) for pixels in load_sample_images().images)
pictures = [china, flower, flower.resize((64, 43))]
for name in ("sport/soccer-ball", "tool/scissors"):
    pictures.append(lamplighter.open_image(folder / f"val/{name}.png"))
said = lamplighter.predict(base, pictures)
figure, axes = plt.subplots(1, 5, figsize=(13, 3.2), layout="constrained")
for place, picture, top in zip(axes, pictures, said.top(3), strict=True):
    place.imshow(picture)
    place.set_title("\n".join(f"{name} {100 * share:.0f} %" for name, share in top), fontsize=9)
    place.axis("off")
plt.show()

# %% [markdown]
# The numbers are **probabilities**. The network gives one number for each class, a *logit*; a
# softmax makes them positive and lets them sum to 1. The network must share out its 100 % among
# the 1,000 names that it has. It knows neither scissors nor dahlias and cannot say so. The sharp
# flower leaves it in doubt, between mushrooms; of the blurred one and the scissors it is sure, and
# wrong. (A bell cote is a small tower for bells: for a pavilion that is not far off.)
#
# Its names are of little use to us. But to tell 1,000 things apart it has learned to see, and that
# is what we want to keep.
#
# ## 5 Why `eval()` matters
#
# From here on we look at the plain PyTorch network. Two of its kinds of layers do something else
# in training than afterwards:
#
# - **Dropout** sets some values to zero by chance, so that the network does not rely on any of them
#   (Srivastava et al., 2014). In evaluation it does nothing.
# - **BatchNorm** brings each channel to mean 0 and spread 1 (Ioffe and Szegedy, 2015,
#   arXiv:1502.03167). In training it takes mean and spread *of the batch at hand*, and keeps a slow
#   average of them, its **running statistics**. In evaluation it uses that average.
#
# `network.train()` and `network.eval()` switch between the two.

# %%
network = lamplighter.pretrained("efficientnet-lite0", size=160, fit="squash").to_torch().eval()
photos = lamplighter.load_images(files, base.preprocessing)  # the emoji as this network sees them
batch = torch.from_numpy(base.preprocessing.normalise(photos["val"].images[:9]))
small_batch = torch.from_numpy(data.preprocessing.normalise(data["val"].images[:9]))
kinds = [type(module).__name__ for module in network.modules()]
print("images as the network sees them:", tuple(batch.shape))
print("layers that normalise by batches:", sum("BatchNorm" in kind for kind in kinds))

# %% [markdown]
# ### Exercise 6.1-c: one image in two batches (3 points)
#
# The answer for an image should not depend on which other images are in its batch. Does it?
#
# Complete `largest_change`: put `image` (3, H, W) once into a batch with the images `first`
# (N, 3, H, W), once into a batch with `second`, and return by how much the logits of `image` differ
# at most between the two: a positive number, the largest over all classes. `training` says in which
# mode the network shall be. Afterwards the network must be *exactly* as it was: its mode, and
# everything in its `state_dict()`. (Hint: `copy.deepcopy`.)


# %% exercise="6.1-c" points=3
def largest_change(network, image, first, second, training):
    """Largest difference of the logits of `image` beside the images `first` and `second`."""
    ### BEGIN SOLUTION
    network = copy.deepcopy(network).train(training)
    with torch.no_grad():
        beside_first = network(torch.cat([image[None], first]))[0]
        beside_second = network(torch.cat([image[None], second]))[0]
    return float((beside_first - beside_second).abs().max())
    ### END SOLUTION


# %% tests="6.1-c"
for name, net, several in (("EfficientNet", network, batch), ("BetterCNN", model, small_batch)):
    for training in [True, False]:
        change = largest_change(net, several[0], several[1:5], several[5:], training)
        mode = "training" if training else "evaluation"
        print(f"{name:13} in {mode:10}: the logits of one image differ by up to {change:.4f}")
### BEGIN HIDDEN TESTS
import torch
from torch import nn

torch.manual_seed(8)
net = nn.Sequential(
    nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)
)
net.train()(torch.rand(6, 3, 8, 8))  # statistics that are not those of a new network
image, first, second = torch.rand(3, 8, 8), torch.rand(4, 3, 8, 8) ** 3, 2 * torch.rand(7, 3, 8, 8)
code = """
net = nn.Sequential(
    nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)
)
net.load_state_dict(state)
net.train(mode)
float(largest_change(net, image, first, second, training))
"""
state = {name: value.clone() for name, value in net.state_dict().items()}
swapped = [(True, first, second), (True, second, first), (False, first, second)]
for training, left, right in swapped:
    net.train(training)
    with torch.no_grad():
        one, other = (net(torch.cat([image[None], more]))[0] for more in (left, right))
    expected = float((one - other).abs().max())
    net.load_state_dict(state)
    images = {"image": image, "first": left, "second": right}
    seen = learner(code, state=state, mode=not training, training=training, **images)
    words = "training" if training else "evaluation"
    assert abs(seen - expected) < 1e-3, (
        f"in {words} mode, for a network that came in the other mode: expected {expected:.4f}, "
        f"the largest difference over the classes for `image` alone, saw {seen:.4f}"
    )

code = """
torch.manual_seed(8)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))
net.train(mode)
before = {name: value.clone() for name, value in net.state_dict().items()}
largest_change(net, image, first, second, training)
after = net.state_dict()
[name for name in before if not before[name].equal(after[name])], net.training
"""
torch.manual_seed(9)
images = {"image": torch.rand(3, 8, 8), "first": torch.rand(4, 3, 8, 8)}
images["second"] = torch.rand(5, 3, 8, 8)
for mode in (False, True):
    for training in (False, True):
        changed, seen = learner(code, mode=mode, training=training, **images)
        assert not changed, (
            f"expected the network to be left as it was, saw changes in {', '.join(changed)}: in "
            "training mode even a look changes the running statistics"
        )
        assert seen == mode, f"expected training={mode} afterwards as before, saw {seen}"
### END HIDDEN TESTS

# %% [markdown]
# In training mode the answer depends on the neighbours (BatchNorm), or on chance (the dropout of
# BetterCNN). In evaluation mode it does not; what is left is rounding. Call `eval()` before you
# measure or use a network. `Trial.evaluate` and everything in Lamplighter that answers do so.
#
# ## 6 A new head
#
# The network has two parts. Its **backbone** turns an image into 1,280 numbers, the image's
# **features**. Its **head** is one dense layer that makes 1,000 logits of them. Our classes are
# others.
#
# ### Exercise 6.1-d: replace the head (2 points)
#
# Complete `replace_head`: it gives the network a new, untrained dense layer for `num_classes`
# classes *in place of* `network.head`, and returns the network. It shall work for any network with
# a `head` that is a dense layer, however many features that takes. The backbone stays as it is.


# %% exercise="6.1-d" points=2
def replace_head(network, num_classes):
    """Put a new dense layer for `num_classes` classes in place of `network.head`."""
    ### BEGIN SOLUTION
    network.head = nn.Linear(network.head.in_features, num_classes)
    return network
    ### END SOLUTION


# %% tests="6.1-d"
for name, part in network.named_children():
    print(f"{name:9} {sum(weights.numel() for weights in part.parameters()):>9,} weights")
print(network.head)
print(replace_head(copy.deepcopy(network), 17).head)
### BEGIN HIDDEN TESTS
import torch

code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(96, 12)

    def forward(self, images):
        return self.head(self.backbone(images))

torch.manual_seed(2)
net = Net()
before = {name: value.clone() for name, value in net.backbone.state_dict().items()}
old = net.head.weight.clone()
new = replace_head(net, classes)
type(new).__name__ if not isinstance(new, Net) else (
    new(images), [tuple(p.shape) for p in new.parameters()], [
        name for name in before if not before[name].equal(new.backbone.state_dict()[name])
    ], any(p.equal(old[:classes]) for p in new.parameters())
)
"""
for classes in (5, 17):
    told = learner(code, classes=classes, images=torch.rand(2, 3, 6, 6))
    assert not isinstance(told, str), f"expected the network itself to be returned, saw {told}"
    logits, shapes, changed, copied = told
    assert tuple(logits.shape) == (2, classes), (
        f"expected {classes} logits for each of 2 images, saw shape {tuple(logits.shape)}"
    )
    dense = [shape for shape in shapes if len(shape) == 2]
    assert dense == [(classes, 96)], (
        f"expected one dense layer in the network, from its 96 features to {classes} classes, saw "
        f"weights of the shapes {dense}"
    )
    assert not changed, f"expected an unchanged backbone, saw changes in {', '.join(changed)}"
    assert not copied, "expected new weights, saw those of the old head for other classes"
### END HIDDEN TESTS

# %% [markdown]
# Networks of the library timm, and the small ones of Lamplighter, have a method for this,
# `network.reset_classifier(17)`.
#
# ## 7 Freezing
#
# The new head is random. If we trained the whole network now, the large errors of the head would
# travel back through the backbone and spoil what is good in it. So the head is trained first, and
# the backbone is **frozen**: nothing in it may change.
#
# *Nothing* means more than the weights:
#
# - no gradient shall reach the weights: `requires_grad = False`;
# - the running statistics of BatchNorm are no weights and get no gradient. They change whenever
#   images pass in training mode. So BatchNorm must be in evaluation mode;
# - dropout in the backbone must be off, or its features change by chance. The same remedy.
#
# ### Exercise 6.1-e: freeze the backbone (4 points)
#
# Complete `head_only(network)`. It is called before each epoch. After it, training steps may change
# `network.head` and nothing in `network.backbone`, and the head is in training mode.


# %% exercise="6.1-e" points=4
def head_only(network):
    """Make `network` ready for an epoch in which its head learns and its backbone stays."""
    ### BEGIN SOLUTION
    for weights in network.backbone.parameters():
        weights.requires_grad = False
    for weights in network.head.parameters():
        weights.requires_grad = True
    network.train()
    network.backbone.eval()
    ### END SOLUTION


# %% tests="6.1-e" points=2
### BEGIN HIDDEN TESTS
import torch

code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
            nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        )
        self.head = nn.Linear(8, 4)

    def forward(self, images):
        return self.head(self.backbone(images).mean((2, 3)))

torch.manual_seed(2)
net = Net()
before = {name: value.clone() for name, value in net.state_dict().items()}
head_only(net)
learning = [name for name, weights in net.named_parameters() if weights.requires_grad]
if learning:
    rule = torch.optim.SGD(net.parameters(), lr=0.5, weight_decay=0.1)
    nn.functional.cross_entropy(net(images), labels).backward()
    rule.step()
after = net.state_dict()
learning, [name for name, _ in net.named_parameters() if not before[name].equal(after[name])]
"""
torch.manual_seed(3)
images, labels = torch.rand(6, 3, 9, 9), torch.tensor([0, 1, 2, 3, 0, 1])
learning, changed = learner(code, images=images, labels=labels)
still = [name for name in changed if name.startswith("backbone")]
assert not still, (
    f"expected the weights of the backbone to stay in a training step, saw {len(still)} change, "
    f"such as {still[0]}"
)
head = [name for name in changed if name.startswith("head")]
assert len(head) == 2, "expected the head to learn in a training step, saw it unchanged"
loose = [name for name in learning if name.startswith("backbone")]
assert not loose, f"expected no gradients in the backbone, saw requires_grad in {loose[0]}"
### END HIDDEN TESTS

# %% tests="6.1-e" points=2
for way in ("requires_grad alone", "your head_only"):
    own = replace_head(copy.deepcopy(network), len(files.class_names))
    own.backbone.requires_grad_(False)
    own.train()
    if way == "your head_only":
        head_only(own)
    before = {name: value.clone() for name, value in own.named_buffers()}
    own(batch)  # one batch is enough to see it
    moved = [
        (value - before[name]).abs().max().item()
        for name, value in own.named_buffers()
        if "running" in name
    ]
    print(f"{way:20} running statistics moved by up to {max(moved):.3f}")
### BEGIN HIDDEN TESTS
import torch

code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
            nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 4))

    def forward(self, images):
        return self.head(self.backbone(images).mean((2, 3)))

torch.manual_seed(2)
net = Net()
before = {name: value.clone() for name, value in net.named_buffers()}
for epoch in range(2):
    head_only(net)
    with torch.no_grad():
        net(images)
        same = net.backbone(images).equal(net.backbone(images))
    trains = net.head[0].training
    if epoch == 0:
        net.eval()  # as a validation does
after = dict(net.named_buffers())
[name for name in before if not before[name].equal(after[name])], same, trains
"""
torch.manual_seed(3)
changed, same, trains = learner(code, images=torch.rand(6, 3, 9, 9))
assert not changed, (
    "expected nothing in the backbone to change when images pass in training, saw changes in "
    f"{', '.join(changed[:3])}"
)
assert same, "expected the same features twice from a frozen backbone, saw dropout at work"
assert trains, "expected the head in training mode, also in the second epoch, saw it in evaluation"
### END HIDDEN TESTS

# %% [markdown] question="6.1-q4" points=1
# **6.1-q4** Somebody freezes the backbone with `requires_grad = False` alone, trains the head for
# ten epochs with a call of `network.train()` before each, and measures in evaluation mode. "Nothing
# in the backbone has been trained", he says. Why are the features that he measures with not those
# of the pretrained network? And were they those while the head was trained?
#
# <!-- BEGIN SOLUTION -->
# `train()` puts BatchNorm into training mode as well. With each batch its running statistics move
# towards those of the new images, and after ten epochs they are those of the emoji. In evaluation
# these are used, so the same weights give other features. While the head was trained, BatchNorm
# used mean and spread of each batch, which is different again and depends on the batch. So the
# head was trained on one kind of features, and is measured on another.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 8 Fine-tuning
#
# `lamplighter.freeze` does what you did, in a way that also lasts through a call of `train()`. And
# what is frozen gives the same numbers for an image each time, so they need be computed only once.
# `CutNetwork` cuts a network in two for this. Its front, `head_part`, is frozen (mind the name: the
# network's *head* is at the other end), and the rest, `tail_part`, is trained.
#
# We train the head alone first; then the last block of the backbone as well, `blocks.6`, with the
# convolution after it. They put parts together to things, and are the least general. Two rules:
#
# - **After the head**, not before it (Kumar et al., 2022, arXiv:2202.10054, show what a random head
#   does to good features).
# - **Gently**: small learning rates, and the smaller the older the layer (Howard and Ruder, 2018,
#   arXiv:1801.06146). `layered_parameters` makes such groups for any optimiser of PyTorch; ours,
#   AdamW, is Adam that also draws all weights a little towards 0 (`weight_decay`). The callback
#   `OneCycle` lets all rates rise slowly to these values and fall again.
#
# `lamplighter.fine_tune(classifier, data, since=...)` does all that in one call. What each network
# says of the two test splits we keep in `answers`, unread, for the end.


# %%
def train_after(stage, network, epochs, rate):
    """Train what comes after `stage`; what comes before is frozen, and computed once."""
    lamplighter.unfreeze(network)
    cut = lamplighter.CutNetwork(network, stage, batch[:2])
    groups = lamplighter.layered_parameters(network, rate)
    rates = {group["stage"]: group["lr"] for group in groups}
    print("learning rates:", ", ".join(f"{name} {value:g}" for name, value in rates.items()))
    made = {}
    with torch.no_grad():
        for split in ("train", "val"):
            batches = photos.batches(split, 16, shuffle=False)
            made[split] = torch.cat([cut.head_part(images) for images, _ in batches])
    trial = Trial(
        cut.tail_part,
        torch.optim.AdamW(groups, weight_decay=0.02),
        loss_function,
        metrics=["loss", "accuracy"],
        callbacks=[callbacks.OneCycle(None)],
        seed=6,
    )
    trial.with_train_data(made["train"], torch.from_numpy(photos["train"].labels), batch_size=32)
    trial.with_val_data(made["val"], torch.from_numpy(photos["val"].labels), batch_size=32)
    trial.run(epochs)


# %% long=true grading="skip"
answers = {}


def keep_answers(way, network, data):
    """Note what a network says of the test splits, a few images at a time."""
    network.eval()
    answers[way] = {}
    with torch.no_grad():
        for split in ("test", "test-twemoji"):
            logits = [network(images) for images, _ in data.batches(split, 16)]
            answers[way][split] = torch.cat(logits).argmax(dim=1).numpy()


keep_answers("BetterCNN, from nothing", model, data)
torch.manual_seed(6)
own = replace_head(copy.deepcopy(network), len(photos.class_names))
start = time.perf_counter()
train_after("backbone", own, epochs=12, rate=3e-3)
seconds["new head"] = time.perf_counter() - start
keep_answers("new head", own, photos)
print("frozen:", ", ".join(lamplighter.frozen(own)))

# %% long=true grading="skip"
start = time.perf_counter()
train_after("backbone.blocks.5", own, epochs=4, rate=1e-3)
seconds["last block tuned"] = seconds["new head"] + time.perf_counter() - start
keep_answers("last block tuned", own, photos)

# %% [markdown]
# All layers can be trained as well, with augmentation. Then every image passes the whole network
# forwards and backwards in every epoch, which takes many minutes instead of seconds. With many
# images, or with images unlike photos, it may be worth it.
#
# ## 9 Features
#
# There is a cheaper way to use what the network has learned. Leave out the head, compute the
# features of each image once, and learn from these numbers with whatever you like.
#
# ### Exercise 6.1-f: features of a batch (2 points)
#
# Complete `features_of`: it returns what the head of a network is given for a batch of images, as a
# tensor (N, D) without gradients, computed in evaluation mode. The network has a `backbone` and a
# `head` as above, and must still have both afterwards.


# %% exercise="6.1-f" points=2
def features_of(network, images):
    """Features (N, D) of `images` (N, 3, H, W): what the head of `network` is given."""
    ### BEGIN SOLUTION
    network.eval()
    with torch.no_grad():
        return network.backbone(images)
    ### END SOLUTION


# %% tests="6.1-f"
print(tuple(features_of(network, batch[:2]).shape))
### BEGIN HIDDEN TESTS
import torch
from torch import nn

backbone = "nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten()"
torch.manual_seed(4)
mine = eval(f"nn.Sequential({backbone})")
mine.train()(torch.rand(5, 3, 6, 6))
images = torch.rand(3, 3, 6, 6)
with torch.no_grad():
    expected = mine.eval()(images)
code = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential({backbone})
        self.head = nn.Linear(96, 7)

    def forward(self, images):
        return self.head(self.backbone(images))

net = Net()
net.backbone.load_state_dict(state)
net.train()
seen = features_of(net, images)
kind, gradients = type(seen).__name__, getattr(seen, "requires_grad", None)
seen, kind, gradients, tuple(net.eval()(images).shape)
"""
seen, kind, gradients, shape = learner(code, images=images, state=dict(mine.state_dict()))
assert gradients is not None, f"expected a tensor of PyTorch, saw {kind}"
assert tuple(seen.shape) == (3, 96), (
    f"expected the 96 features of each of 3 images, saw shape {tuple(seen.shape)}"
)
assert torch.allclose(seen, expected, atol=1e-4), (
    "expected the features in evaluation mode, for a network that came in training mode, saw other "
    "numbers"
)
assert not gradients, "expected a tensor without gradients, saw requires_grad=True"
assert shape == (3, 7), f"expected the network to have its head still, saw outputs {shape}"
### END HIDDEN TESTS

# %% long=true
# embed does the same for files, on all cores. It can keep what it has computed, so that a second
# run costs nothing; here it does not (cache=False), to measure honestly.
start = time.perf_counter()
features = lamplighter.embed(base, files, cache=False)
embedding = time.perf_counter() - start
train, val = features.split("train"), features.split("val")
print(f"{features.vectors.shape} in {embedding:.1f} s")
mine = features_of(network, batch[:4]).numpy()
print(f"largest difference to yours: {np.abs(mine - val.vectors[:4]).max():.5f}")

# %% [markdown]
# ## 10 Which images are alike?
#
# Each image is now a point in a space of 1,280 dimensions. The hope is that similar images lie
# near each other. How near two vectors $a$ and $b$ are is often measured by the angle between them,
# whatever their lengths:
#
# $$ \text{cosine distance} = 1 - \frac{a \cdot b}{\|a\| \, \|b\|} $$
#
# It is 0 for vectors of the same direction, 1 for vectors at a right angle, and 2 for opposite
# ones.
#
# ### Exercise 6.1-g: cosine distances (2 points)
#
# Complete `cosine_distances` for numpy arrays: of each of the Q queries to each of the R
# references, shape (Q, R). Try to do without a loop.


# %% exercise="6.1-g" points=2
def cosine_distances(queries, references):
    """Cosine distance of each query (Q, D) to each reference (R, D), shape (Q, R)."""
    ### BEGIN SOLUTION
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    references = references / np.linalg.norm(references, axis=1, keepdims=True)
    return 1 - queries @ references.T
    ### END SOLUTION


# %% tests="6.1-g"
print(cosine_distances(val.vectors[:2], train.vectors[:3]))
### BEGIN HIDDEN TESTS
import numpy as np

random = np.random.default_rng(6)
for count, others, width in ((3, 5, 4), (6, 2, 50), (1, 1, 3)):
    one = random.normal(size=(count, width)) * random.uniform(0.5, 4, (count, 1))
    other = random.normal(size=(others, width)) * random.uniform(0.5, 4, (others, 1))
    seen = np.asarray(learner("cosine_distances(one, other)", one=one, other=other))
    assert seen.shape == (count, others), (
        f"for {count} queries and {others} references: expected shape {(count, others)}, saw "
        f"{seen.shape}"
    )
    expected = np.array([
        [1 - a @ b / np.sqrt((a @ a) * (b @ b)) for b in other] for a in one
    ])  # fmt: skip
    assert np.allclose(seen, expected, atol=1e-5), (
        f"for two vectors at an angle of {np.degrees(np.arccos(1 - expected[0, 0])):.0f} degrees: "
        f"expected {expected[0, 0]:.4f}, saw {seen[0, 0]:.4f}"
    )
same = np.array([[3.0, 4.0]])
seen = float(np.asarray(learner("cosine_distances(one, 10 * one)", one=same))[0, 0])
assert abs(seen) < 1e-5, f"expected 0 for two vectors of one direction, saw {seen:.4f}"
### END HIDDEN TESTS

# %% [markdown]
# ### Against your own eye
#
# Here is a picture and six others. Which is most like the first, which least? **Write down your
# order of the letters before you run the cell after the next.** That cell shows the order of the
# features, and for comparison that of the raw pixels: 64 x 64 x 3 numbers for each image, without
# any network.

# %%
query = "val/road/bicycle.png"
others = [
    "train/road/motor-scooter.png", "train/clothing/eyeglasses.png", "train/mammal/horse.png",
    "train/road/manual-wheelchair.png", "train/road/skateboard.png", "train/road/bus.png",
]  # fmt: skip
titles = [f"{letter}: {Path(path).stem}" for letter, path in zip("ABCDEF", others, strict=True)]
show([folder / path for path in (query, *others)], ["this one", *titles], 7, "Which is most alike?")

# %%
pixels = {name: data[name].images.reshape(len(data[name]), -1) / 255 for name in ("train", "val")}


def order_of(in_train, in_val):
    """Return the letters of `others` from the nearest to `query` to the farthest."""
    asked = in_val[[val.files.paths.index(query)]]
    distances = cosine_distances(asked, in_train[[train.files.paths.index(p) for p in others]])[0]
    return "  ".join(f"{'ABCDEF'[place]} {distances[place]:.2f}" for place in distances.argsort())


print("features:", order_of(train.vectors, val.vectors))
print("pixels:  ", order_of(pixels["train"], pixels["val"]))

# %% [markdown] question="6.1-q5" points=1
# **6.1-q5** Give your own order, that of the features and that of the pixels. Where do they differ,
# and what do you think each of the three goes by? Would your own order be another one if you were
# asked "which could take you to work instead"?
#
# <!-- BEGIN SOLUTION -->
# An order of one's own, with reasons. A person goes by what the things are and what they are for
# (vehicles first), or by looks. The features put the wheelchair and the scooter first: they go by
# what can be seen and was useful for telling ImageNet's classes apart, such as spokes, wheels and
# thin frames. The pixels put the glasses first: they compare colour place by place, so that much
# white ground counts most, and the same bicycle moved by ten pixels would be far away. "Alike"
# depends on the purpose: to get to work a bus is nearer than a wheelchair, and of that no picture
# tells. A distance is good for a purpose.
# <!-- END SOLUTION -->

# %% [markdown]
# The nearest training images for a few validation images, with their distances. Do they have the
# class of the query? Where they do not, can you see why?
#
# That is a classifier already: take the class of the nearest training image. How often is it right,
# by features and by pixels?

# %%
wanted = ("bird/chicken", "road/bicycle", "meal/hot-dog", "mammal/cat", "sport/soccer-ball")
places = [val.files.paths.index(f"val/{name}.png") for name in wanted]
paths, titles = [], []
for place, row in zip(places, cosine_distances(val.vectors[places], train.vectors), strict=True):
    paths.append(folder / val.files.paths[place])
    titles.append(f"[{files.class_names[val.files.labels[place]]}]")
    for near in row.argsort()[:5]:
        paths.append(folder / train.files.paths[near])
        titles.append(f"{files.class_names[train.files.labels[near]]} {row[near]:.2f}")
show(paths, titles, 6, "Left: asked for. Right of it: the nearest training images")

for name, there, known in (
    ("features", val.vectors, train.vectors),
    ("pixels", pixels["val"], pixels["train"]),
):
    nearest = cosine_distances(there, known).argmin(axis=1)
    right = int((train.files.labels[nearest] == val.files.labels).sum())
    print(f"nearest by {name:9} right: {lamplighter.wilson(right, len(val)):.1f}")

# %% [markdown]
# ## 11 A support vector machine
#
# A **support vector machine** (SVM) draws borders between classes so that as wide a strip as
# possible stays free on both sides. It suits features: it learns from a few hundred examples in a
# second, has one best solution, and needs no learning rate. Two things must be chosen:
#
# - the **kernel**: `linear` draws straight borders, `rbf` bent ones (how bent, says `gamma`);
# - **C**: how much a training image on the wrong side costs. A large C follows each single one.
#
# One chooses by **cross-validation**: cut what you may learn from into, say, 3 folds; learn from 2
# and measure on the third, in turn; take the setting with the best mean. The test images stay out
# of it. As validation images have no other task here, we search on `train` and `val` together.
#
# ### Exercise 6.1-h: search (3 points)
#
# Complete `search_svm`. It returns scikit-learn's `GridSearchCV`, fitted: with an `SVC`, both
# kernels, at least three values of `C`, 3 folds, and **macro-F1** to choose by (`scoring=`). Use
# `n_jobs=1`.

# %% exercise="6.1-h" points=3
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC


def search_svm(vectors, labels):
    """Return a fitted search for the best kernel and C of a support vector machine."""
    ### BEGIN SOLUTION
    choices = [
        {"kernel": ["linear"], "C": [0.01, 0.1, 1]},
        {"kernel": ["rbf"], "C": [1, 10, 100], "gamma": ["scale"]},
    ]
    search = GridSearchCV(SVC(), choices, cv=3, scoring="f1_macro", n_jobs=1)
    return search.fit(vectors, labels)
    ### END SOLUTION


# %% tests="6.1-h"
### BEGIN HIDDEN TESTS
import numpy as np

random = np.random.default_rng(3)
labels = np.arange(60) % 3
vectors = random.normal(size=(60, 5)) + 3 * np.eye(5)[labels]
code = """
search = search_svm(vectors, labels)
search.scoring if isinstance(search.scoring, str) or search.scoring is None else "own", \
    int(search.n_splits_)
"""
scoring, folds = learner(code, vectors=vectors, labels=labels)
assert scoring in ("f1_macro", "own"), (
    f"expected the search to choose by macro-F1, saw scoring={scoring!r}"
)
assert folds == 3, f"expected 3 folds, saw {folds}"

code = """
search = search_svm(vectors, labels)
tried = [
    {name.split("__")[-1]: value if isinstance(value, (int, float, str)) else str(value)
     for name, value in one.items()}
    for one in search.cv_results_["params"]
]
search.predict(asked), tried
"""
random = np.random.default_rng(2)


def rings(count):
    """Points on three rings, one in another, at one height: no straight border parts them."""
    labels = np.arange(count) % 3
    radius, angle = 1 + labels + random.normal(0, 0.08, count), random.uniform(0, 6.3, count)
    height = 1 + random.normal(0, 0.02, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1), labels


vectors, labels = rings(300)
asked, expected = rings(120)
said, tried = learner(code, vectors=vectors, labels=labels, asked=asked)
kernels = sorted({one.get("kernel", "none named") for one in tried})
assert {"linear", "rbf"} <= set(kernels), (
    f"expected linear and rbf among the kernels that are tried, saw {', '.join(kernels)}"
)
costs = {float(one["C"]) for one in tried if "C" in one}
assert len(costs) >= 3, f"expected three values of C or more, saw {len(costs)}"
right = float(np.mean(np.asarray(said) == expected))
assert right > 0.9, (
    f"on rings that need a bent border: expected over 90 % of new points right, saw {right:.0%}"
)
### END HIDDEN TESTS

# %% long=true grading="skip"
in_search = [n for n, name in enumerate(features.files.splits) if name in ("train", "val")]
known = features.take(in_search)
start = time.perf_counter()
search = search_svm(known.vectors, known.files.labels)
seconds["SVM, your search"] = embedding + time.perf_counter() - start
answers["SVM, your search"] = {
    split: search.predict(features.split(split).vectors) for split in ("test", "test-twemoji")
}
tried = zip(search.cv_results_["mean_test_score"], search.cv_results_["params"], strict=True)
for score, choice in tried:
    mark = "*" if choice == search.best_params_ else " "
    print(f"{mark} macro-F1 {100 * score:.1f} %  {choice}")

# %% [markdown]
# `lamplighter.fit_head` searches in the same manner for three kinds of heads: `knn`, in which the
# nearest images vote; `svm`; and `linear`, a weighted sum of features for each class. What it
# returns can stand in place of the network's head, with `with_head`. The whole is a classifier
# like any other: it can be evaluated, saved, and given photos.

# %% long=true grading="skip"
names = {"knn": "nearest images vote", "svm": "SVM, fit_head", "linear": "linear head on features"}
for kind, way in names.items():
    fitted = lamplighter.fit_head(kind, train.vectors, train.files.labels, len(files.class_names))
    seconds[way] = embedding + fitted.seconds
    said = {
        split: fitted.head.logits(features.split(split).vectors).argmax(1)
        for split in ("val", "test", "test-twemoji")
    }
    right = int((said.pop("val") == val.files.labels).sum())
    answers[way] = said
    print(f"{way:24} val: {lamplighter.wilson(right, len(val)):.1f}, {fitted.seconds:.1f} s")

by_features = lamplighter.with_head(base, fitted, files.class_names)
(owl,) = lamplighter.predict(by_features, [folder / "val/bird/owl.png"]).top(3)
print("an owl:", ", ".join(f"{name} {100 * share:.0f} %" for name, share in owl))

# %% [markdown]
# ## 12 An index of similar images
#
# With features you can search a collection of images *by an image*. An `Index` keeps the vectors
# in a file and finds the most similar ones by cosine similarity (1 minus the distance above), also
# among many thousands. Here we ask with a drawing by the other artist.

# %% grading="skip"
query = folder / "test-twemoji/bird/rooster.png"
with lamplighter.Index.create("emoji.index", features, force=True) as index:
    (hits,) = lamplighter.similar(index, [query], k=6, classifier=base, where={"split": "train"})
    twins = index.near_duplicates(0.97)
print(len(twins), "groups of images with a similarity above 0.97, such as",
      ", ".join(Path(hit.path).stem for hit in twins[0]) if twins else "none")  # fmt: skip
titles = [f"{hit.label}\n{hit.similarity:.2f}" for hit in hits]
show([query, *(hit.file for hit in hits)], ["asked for", *titles], 7, "Most similar in train")

# %% [markdown]
# ## 13 What it costs, and what it gains
#
# Now open the drawer. All choices are made, so the test images may speak, once. Times are those of
# learning, on this machine; those on features include computing the features of all images. The
# last column is the same emoji as another artist draws them.

# %% grading="skip"
truth = {split: data[split].labels for split in ("test", "test-twemoji")}
flag = np.full_like(truth["test"], data.class_names.index("flag"))
answers = {"always flag": {"test": flag, "test-twemoji": flag}} | answers
seconds["always flag"] = 0.0
scores = {}
print(f"{'':26}{'seconds':>8}   {'accuracy on test':22} {'macro-F1':10} other artist")
for way, said in answers.items():
    right = {split: int((said[split] == truth[split]).sum()) for split in truth}
    scores[way] = {split: lamplighter.wilson(right[split], len(truth[split])) for split in truth}
    matrix = np.zeros_like(report.confusion)
    np.add.at(matrix, (truth["test"], said["test"]), 1)
    shown = [
        f"{100 * score.value:.1f} % ({100 * score.low:.0f} to {100 * score.high:.0f})"
        for score in scores[way].values()
    ]
    f1 = f"{100 * macro_f1(matrix):.1f} %"
    print(f"{way:26}{seconds[way]:8.1f}   {shown[0]:22} {f1:10} {shown[1]}")

# %% grading="skip"
figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 3.6), layout="constrained", sharey=True, width_ratios=[3, 1]
)
places = np.arange(len(scores))[::-1]
looks = {"test": (0.13, "o", "#0072b2"), "test-twemoji": (-0.13, "s", "#d55e00")}
for split, (shift, style, colour) in looks.items():
    for place, score in zip(places + shift, scores.values(), strict=True):
        ends = 100 * score[split].low, 100 * score[split].high
        left.plot(ends, (place, place), color=colour)
    values = [100 * score[split].value for score in scores.values()]
    left.plot(values, places + shift, style, color=colour, label=split)
left.set_yticks(places, list(scores))
left.set(xlabel="accuracy in %, with 95 % interval", title="What it gains", xlim=(0, 100))
left.legend()
right.barh(places, [seconds[way] for way in scores], color="#999999")
right.set(xlabel="seconds", title="What it costs")
plt.show()

# %% [markdown] question="6.1-q6" points=2
# **6.1-q6** Which way would you take for these images, and why? Which differences in the table can
# be chance? What does the last column tell about the first one? And what would you try first with
# 50,000 X-ray images instead of 575 drawings?
#
# <!-- BEGIN SOLUTION -->
# All ways that use the pretrained network are far above BetterCNN, in our run by about 20 points;
# where intervals are apart that is no chance, and where they touch, `compare` on the same images
# would tell more. Among themselves their intervals overlap widely: 125 images show none of them to
# be best, and the cheapest is the one to take, a head on features, which learns in seconds. On the
# other artist's drawings all of them lose much, in our run about 20 to 40 points. The test score
# holds for images like those of `test` alone, and nothing in it warns of that; so test on images as
# they will come. X-ray images are unlike photos, and there are many: features of photos may miss
# what matters, so after a linear head as a baseline fine-tune all layers, with care for groups (one
# patient, one split).
# <!-- END SOLUTION -->

# %% [markdown]
# ### All of it in one call
#
# `climb_ladder` audits the files, computes features, climbs from fast to slow methods as far as a
# budget of minutes allows, compares the rungs on the validation images, and reads the test images
# once, for the rung that it chose. Without `rungs=` it fine-tunes as well, as far as the minutes
# reach, and says what it had to leave out. (It takes the network's own size, 224 x 224 pixels.)
#
# Your own photos go the same way. If a folder `boats` (or any other, with a folder for each class)
# lies beside this notebook, it is climbed as well. The photos of boats in Venice that the course
# uses are named by date and time, so each hour is one group.


# %% long=true grading="skip"
def climb(files, budget):
    ladder = lamplighter.climb_ladder(files, rungs=["knn", "svm", "linear"], budget=budget)
    print(ladder.table())
    print(ladder.recommendation())
    for tested in ladder.tests:
        print(f"{tested.split}: {tested.accuracy:.1f}")


climb(files, budget=0.5)
if Path("boats").exists():
    climb(lamplighter.find_files("boats", group=r"^\d+_\d\d"), budget=2)

# %% [markdown]
# ## Going further
#
# - Take 50 photos of each of three things at home, on two days. Train on the first day and test on
#   the second; then mix the days and split by chance. How far apart are the two scores?
# - Rare classes: train BetterCNN with `nn.CrossEntropyLoss(weight=...)` and the weights that
#   `lamplighter.class_weights(labels, 17)` gives. What happens to accuracy, and what to macro-F1?
# - How many images are enough? Fit a linear head to 2, 4, 8 ... images of each class and draw the
#   accuracy against their number.
# - Fine-tune from `backbone.blocks.5` on, or all layers with `augmentation=`, overnight. Is what
#   you gain more than the interval?
# - Ask `lamplighter.attribute(by_features, ...)` from lab 5.3 what an answer rests on, for an emoji
#   of each artist.
# - `lamplighter.save(by_features, "emoji.lamp")` makes one file of it; `lamplighter predict`
#   answers with it, without PyTorch. `lamplighter.add_trust` lets it say "unknown". Try a photo.
