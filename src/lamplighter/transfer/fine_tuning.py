"""Fine-tuning: a trained network learns new images, its newer stages more than its older ones."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lamplighter.errors import LamplighterError, OutputError, TrainingError
from lamplighter.models.classifier import check_classifier
from lamplighter.training.balancing import class_weights
from lamplighter.training.callbacks import Checkpoint, LabelSmoothing, OneCycle
from lamplighter.training.labels import by_name
from lamplighter.training.trial import Trial
from lamplighter.transfer.freezing import (
    freeze,
    layered_parameters,
    members_of,
    places_of,
    unfreeze,
)
from lamplighter.transfer.split_network import CutNetwork, cut_batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamplighter.datasets.batches import Augmentation
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.models.classifier import Classifier

_WEIGHT_DECAY = 0.02
_SMOOTHING = 0.05
_LAST = "last.ckpt"


def fine_tune(
    classifier: Classifier,
    data: ImageData,
    *,
    since: str | None = None,
    epochs: int = 8,
    learning_rate: float = 1e-3,
    decay: float = 0.5,
    warm_up: float = 0.2,
    batch_size: int = 32,
    augmentation: Augmentation | None = None,
    balanced: bool = False,
    seed: int = 7,
    folder: str | Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Any] = (),
    verbose: int = 2,
) -> Classifier:
    """Train the newer stages of a classifier on new images and return it.

    Stages before `since` are frozen, statistics of BatchNorm included, and stay so after a
    resume. Where nothing is augmented, what they make of each image is computed once. Give the
    network a fitted head first (`with_head`): a random one would spoil what lies before it
    (Kumar et al., 2022, arXiv:2202.10054).

    Args:
        classifier: whose network is trained; it is changed.
        data: images of its size with a "train" split; "val" is measured after each epoch.
        since: the first stage to train, as `lamplighter.stages` names them, such as "head"; None
            trains all.
        epochs: how often each image is seen.
        learning_rate: the peak of the newest stage, reached after the warm-up.
        decay: each older stage has this times the rate of the next (Howard and Ruder, 2018,
            arXiv:1801.06146).
        warm_up: the share of the steps in which the rates rise, 0..1.
        batch_size: images in a batch.
        augmentation: random changes to the training images.
        balanced: whether rare classes count as much as common ones.
        seed: the same seed gives the same weights on a CPU.
        folder: where a checkpoint of each epoch is kept; None keeps none.
        resume: continue from the checkpoint in `folder`, if there is one.
        callbacks: what else watches and steers.
        verbose: 2 shows a bar over the batches, 1 a line for each epoch, 0 nothing.

    Raises:
        UnknownLayerError: the network has no such stage.
        TrainingError: the training cannot start.
        ResumeError: the checkpoint cannot be continued from.
        OutputError: a checkpoint cannot be written.
    """
    check_classifier(classifier, "fine_tune")
    if epochs < 1:
        raise TrainingError(f"the number of epochs must be at least 1, received {epochs}.")
    network = classifier.to_torch()
    classifier.trust = None  # measured with other weights
    older = frozen_until(network, since)
    unfreeze(network)
    if older is not None:
        freeze(network, until=older)
    labels = by_name(classifier, data, "train").labels
    criterion = nn.CrossEntropyLoss(
        weight=class_weights(labels, classifier.num_classes) if balanced else None
    )
    optimizer = torch.optim.AdamW(
        layered_parameters(network, learning_rate, decay=decay), weight_decay=_WEIGHT_DECAY
    )
    watching: list[Any] = [OneCycle(None, warm_up=warm_up), LabelSmoothing(_SMOOTHING)]
    if folder is not None:
        watching.append(Checkpoint(folder))
    common: dict[str, Any] = {
        "metrics": ["loss", "acc"],
        "callbacks": [*watching, *callbacks],
        "verbose": verbose,
        "seed": seed,
    }
    if older is not None and augmentation is None:
        cut = CutNetwork(network, older, _sample(classifier, data))
        trial = Trial(cut.tail_part, optimizer, criterion, **common)
        batches: list[Any] = [
            cut_batches(classifier, data, split, cut, batch_size=batch_size, seed=seed)
            for split in ("train", "val")
            if split in data
        ]
        trial.with_generators(*batches)
    else:
        trial = Trial(classifier, optimizer, criterion, **common)
        trial.with_images(data, batch_size, augmentation=augmentation)
    trial.with_trainer(devices=1)
    last = Path(folder) / _LAST if folder is not None else None
    try:
        trial.run(
            epochs, checkpoint=last if resume and last is not None and last.is_file() else None
        )
    except LamplighterError:
        raise
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}; free some "
            "space; the last whole epoch is kept."
        ) from error
    network.eval()
    classifier.record.recipe = {
        "name": "fine-tuning",
        "since": since,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "decay": decay,
        "warm_up": warm_up,
        "batch_size": batch_size,
        "augmentation": repr(augmentation),
        "balanced": balanced,
        "seed": seed,
    }
    classifier.record.scores = {}
    return classifier


def frozen_until(network: nn.Module, since: str | None) -> str | None:
    """Return the last stage before `since`, or None if none comes before it.

    Raises:
        UnknownLayerError: the network has no such stage.
    """
    if since is None:
        return None
    chain = members_of(network)
    first = min(places_of(chain, since))
    return chain[first - 1][0] if first else None


def seconds_per_step(
    classifier: Classifier,
    data: ImageData,
    *,
    since: str | None,
    batch_size: int = 32,
    augmentation: Augmentation | None = None,
) -> float:
    """Return how long a training step takes, measured on one batch; nothing is learned.

    Args:
        classifier: its network is left as it was; a copy of it takes the steps.
        data: with a "train" split.
        since: the first stage to train; what comes before it is taken as computed.
        batch_size: images in a batch.
        augmentation: random changes to the training images.
    """
    network = copy.deepcopy(classifier.read_network())
    split = data["train"]
    # The same few images again where there are fewer than a batch: only their number counts.
    chosen = torch.arange(batch_size) % len(split)
    images = torch.from_numpy(classifier.preprocessing.normalise(split.images[chosen.numpy()]))
    part: nn.Module = network
    older = frozen_until(network, since)
    if older is not None:
        cut = CutNetwork(network, older, images[:2])
        with torch.no_grad():
            images = cut.head_part(images)
        part = cut.tail_part
    optimizer = torch.optim.AdamW(layered_parameters(network, 1e-6))
    part.train()
    for _ in range(2):  # the first one also sets torch up
        start = time.perf_counter()
        inputs = augmentation(images) if augmentation is not None else images
        part(inputs).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds = time.perf_counter() - start
    return seconds


def _sample(classifier: Classifier, data: ImageData) -> torch.Tensor:
    return torch.from_numpy(classifier.preprocessing.normalise(data["train"].images[:2]))
