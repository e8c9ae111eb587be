"""Fine-tuning: what is frozen stays, what is not learns, and a resume changes nothing."""

from __future__ import annotations

import copy
import errno

import numpy as np
import pytest
import torch

from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.errors import OutputError, TrainingError, UnknownLayerError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Classifier
from lamplighter.training.callbacks import on_batch_start, on_epoch_end
from lamplighter.training.trial import Trial
from lamplighter.transfer.fine_tuning import fine_tune, frozen_until, seconds_per_step
from lamplighter.transfer.freezing import frozen, members_of

CLASSES = ("dark", "light", "grey")
QUICK = {"epochs": 2, "batch_size": 8, "verbose": 0}


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Images of three kinds of brightness, 24 to learn from and 6 to validate on."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = np.arange(count) % 3
        level = np.array([40, 210, 120])[labels][:, None, None, None]
        noise = rng.integers(-30, 31, (count, 3, 32, 32))
        return Split((level + noise).astype(np.uint8), labels)

    wanted = Preprocessing(height=32, width=32)
    return ImageData({"train": split(24), "val": split(6)}, CLASSES, preprocessing=wanted)


@pytest.fixture
def classifier(tiny) -> Classifier:
    return Classifier(
        copy.deepcopy(tiny.network), tiny.preprocessing, CLASSES, architecture=tiny.architecture
    )


def state(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.network.state_dict().items()}


@pytest.mark.parametrize("augmented", [False, True])
def test_what_is_before_the_first_stage_stays_bit_for_bit(classifier, data, augmented):
    chain = [name for name, _ in members_of(classifier.network)]
    since = chain[-2]
    before = state(classifier)
    change = (lambda images: images.flip(-1)) if augmented else None
    assert fine_tune(classifier, data, since=since, augmentation=change, **QUICK) is classifier
    after = state(classifier)
    newer = tuple(key for name, members in members_of(classifier.network)[-2:] for key in members)
    for name, value in before.items():
        if name.startswith(newer):
            if name.endswith(("weight", "bias")):
                assert not value.equal(after[name]), name
        else:
            assert value.equal(after[name]), name  # statistics of BatchNorm as well
    assert frozen(classifier.network) == chain[:-2]
    assert not classifier.network.training


def test_all_of_it_learns_without_a_first_stage(classifier, data):
    before = state(classifier)
    fine_tune(classifier, data, **QUICK)
    after = state(classifier)
    assert not [
        name
        for name, value in before.items()
        if name.endswith("weight") and value.equal(after[name])
    ]
    assert frozen(classifier.network) == []


def test_older_stages_learn_at_lower_rates(classifier, data, monkeypatch):
    rates = {}
    original = Trial.__init__

    def noted(trial, network, optimizer, *arguments, **options):
        for group in optimizer.param_groups:
            rates.setdefault(group["stage"], group["lr"])
        original(trial, network, optimizer, *arguments, **options)

    monkeypatch.setattr(Trial, "__init__", noted)
    fine_tune(classifier, data, learning_rate=0.01, decay=0.25, **QUICK)
    stages = [name for name, _ in members_of(classifier.network)]
    assert list(rates) == stages[::-1]
    expected = [0.01 * 0.25**age for age in range(len(stages))]
    np.testing.assert_allclose(list(rates.values()), expected)


def test_rates_rise_first_and_fall_then(classifier, data):
    seen = []

    @on_batch_start
    def note(view):
        seen.append(view.optimizer.param_groups[0]["lr"])

    options = {**QUICK, "epochs": 5}
    fine_tune(classifier, data, since="head", warm_up=0.4, callbacks=[note], **options)
    peak = int(np.argmax(seen))
    assert len(seen) == 15
    assert 4 <= peak <= 7
    assert np.all(np.diff(seen[: peak + 1]) >= 0)
    assert np.all(np.diff(seen[peak:]) <= 0)


@pytest.mark.parametrize("augmented", [False, True])
def test_a_resumed_training_ends_where_an_unbroken_one_does(tiny, data, tmp_path, augmented):
    def fresh():
        return Classifier(
            copy.deepcopy(tiny.network), tiny.preprocessing, CLASSES, architecture=tiny.architecture
        )

    since = [name for name, _ in members_of(tiny.network)][-2]
    options = {"since": since, "epochs": 4, "batch_size": 8, "verbose": 0}
    if augmented:
        options["augmentation"] = lambda images: images + 0.1 * torch.randn_like(images)

    whole, broken, resumed = fresh(), fresh(), fresh()
    fine_tune(whole, data, **options)

    @on_epoch_end
    def stop(view):
        if view.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(broken, data, folder=tmp_path, callbacks=[stop], **options)
    assert (tmp_path / "last.ckpt").is_file()
    fine_tune(resumed, data, folder=tmp_path, resume=True, **options)
    for name, value in state(whole).items():
        torch.testing.assert_close(state(resumed)[name], value, rtol=1e-5, atol=1e-6)
    assert frozen(resumed.network) == frozen(whole.network)


def test_it_learns_and_says_how(classifier, data):
    fine_tune(classifier, data, epochs=20, learning_rate=0.01, batch_size=8, verbose=0)
    inputs = torch.from_numpy(classifier.preprocessing.normalise(data["train"].images))
    with torch.no_grad():
        said = classifier.network(inputs).argmax(1).numpy()
    assert (said == data["train"].labels).mean() > 0.9  # chance is a third
    recipe = classifier.record.recipe
    assert (recipe["name"], recipe["epochs"], recipe["since"]) == ("fine-tuning", 20, None)
    assert classifier.trust is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"since": "nowhere"}, UnknownLayerError, "no stage 'nowhere'"),
        ({"epochs": 0}, TrainingError, "at least 1"),
        ({"decay": 0.0}, TrainingError, "decay"),
        ({"learning_rate": -1.0}, TrainingError, "learning rate"),
    ],
)
def test_what_cannot_be_is_refused(classifier, data, options, error, message):
    with pytest.raises(error, match=message):
        fine_tune(classifier, data, **{**QUICK, **options})


def test_a_full_disk_is_said_in_one_line(classifier, data, tmp_path, monkeypatch):
    def full(trial, *arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "last.ckpt"))

    monkeypatch.setattr(Trial, "run", full)
    with pytest.raises(OutputError, match=r"last.ckpt cannot be written: No space left"):
        fine_tune(classifier, data, folder=tmp_path, **QUICK)


def test_the_last_frozen_stage_is_the_one_before(tiny):
    chain = [name for name, _ in members_of(tiny.network)]
    assert frozen_until(tiny.network, None) is None
    assert frozen_until(tiny.network, chain[0]) is None
    assert frozen_until(tiny.network, chain[-1]) == chain[-2]


@pytest.mark.parametrize("since", [None, "head"])
def test_timing_a_step_changes_nothing(classifier, data, since):
    before = state(classifier)
    assert seconds_per_step(classifier, data, since=since, batch_size=40) > 0
    assert all(value.equal(before[name]) for name, value in state(classifier).items())
    assert frozen(classifier.network) == []
    assert all(weights.grad is None for weights in classifier.network.parameters())
