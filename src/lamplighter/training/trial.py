"""`Trial`: network, optimizer, loss and metrics; data; run, evaluate, predict.

The names are Torchbearer's (Harris, Painter and Hare, 2018, arXiv:1809.03363), the engine is
PyTorch Lightning.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from lamplighter.arguments import checked_arguments
from lamplighter.errors import ResumeError, TrainingError
from lamplighter.models.classifier import Classifier
from lamplighter.training.callbacks.base import Callback, check_callbacks
from lamplighter.training.criteria import check_criterion
from lamplighter.training.devices import check_device
from lamplighter.training.diagnostics import check_parts
from lamplighter.training.lint import Lint
from lamplighter.training.loaders import (
    TEST_DATA,
    TRAIN_DATA,
    VALIDATION_DATA,
    DataKey,
)
from lamplighter.training.loaders import (
    data_key as checked_key,
)
from lamplighter.training.metrics import as_list, check_metrics
from lamplighter.training.monitors import check_watched
from lamplighter.training.plan import Plan
from lamplighter.training.trial_data import TrialData
from lamplighter.training.trial_state import as_before, state_of, take_state
from lamplighter.training.view import TrialView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from lamplighter.models.classifier import Record
    from lamplighter.training.lint import Finding


@checked_arguments
class Trial(TrialData):
    """A network, how it is trained and what is measured; then its data, then `run`.

    ::

        trial = Trial(network, optimizer, nn.CrossEntropyLoss(), metrics=["loss", "acc"])
        trial.with_generators(train_loader, test_generator=test_loader).run(epochs=10)
        trial.evaluate(data_key=TEST_DATA)["test_acc"]

    Args:
        model: a Classifier, or any module.
        optimizer: what changes the weights; for a Classifier Adam with its defaults.
        criterion: the loss of (outputs, targets); for a Classifier the cross-entropy.
        metrics: names, metrics of torchmetrics, or (name, metric of torchmetrics); one may stand
            alone. The names are 'loss', 'mse', 'lr', 'epoch time', 'macro_f1' and 'f1_by_label'
            (over the classes, or over several labels of an image), 'top_1_acc', 'top_5_acc',
            'top_10_acc'; 'binary_acc' (the share of single labels that are right) and
            'subset_acc' (of images of which all labels are); and 'acc' or 'accuracy', which is
            'binary_acc' where the criterion takes each output for a yes or no, as
            BCEWithLogitsLoss does, and else 'top_1_acc'.
        callbacks: Lamplighter's, decorated functions, Lightning's callbacks and loggers; one may
            stand alone.
        verbose: 2 shows a bar over the batches, 1 a line for each epoch, 0 nothing.
        seed: makes runs from the same weights repeatable (`torch.manual_seed` before a network is
            made repeats its first ones); None takes torch's random numbers as they come.
        silence: names of `lamplighter.CHECKS` not to look for.

    Raises:
        ArgumentError: an argument is unknown or of another type, as in all methods.
        TrainingError: the model, the optimizer, the criterion, a metric or a callback is none, a
            callback has a hook that would never be called, the seed is not in 0..2**32 - 1, or
            a name to silence is not known.
    """

    def __init__(
        self,
        model: Classifier | nn.Module,
        optimizer: Optimizer | None = None,
        criterion: Callable[[Tensor, Tensor], Tensor] | None = None,
        metrics: Sequence[Any] = (),
        callbacks: Any = (),
        verbose: int = 2,
        *,
        seed: int | None = None,
        silence: Sequence[str] = (),
    ) -> None:
        check_parts(model, optimizer)
        check_criterion(criterion)
        super().__init__(model if isinstance(model, Classifier) else None, seed)
        network = model.to_torch() if isinstance(model, Classifier) else model
        if self.classifier is not None:
            if optimizer is None:
                optimizer = torch.optim.Adam(network.parameters())
            if criterion is None:
                criterion = nn.CrossEntropyLoss()
        self.metrics = as_list(metrics)
        check_metrics(self.metrics)
        several = isinstance(callbacks, Iterable) and not isinstance(callbacks, (str, type))
        self.callbacks = list(callbacks) if several else [callbacks]
        check_callbacks(self.callbacks)
        self.verbose = verbose
        self.lint = Lint(silence)
        self._view = TrialView(
            epochs=0,
            network=network,
            optimizer=optimizer,
            criterion=criterion,
            classifier=self.classifier,
        )
        self.trainer_arguments: dict[str, Any] = {}

    def __repr__(self) -> str:
        view = self._view
        parts = [f"network={type(self.network).__name__}"]
        parts += [
            f"{name}={getattr(part, '__name__', type(part).__name__)}"
            for name, part in (("optimizer", view.optimizer), ("criterion", view.criterion))
            if part is not None
        ]
        metrics = [name if isinstance(name, str) else repr(name) for name in self.metrics]
        return f"Trial({', '.join(parts)}, metrics={metrics}, epochs={len(self.history)})"

    @property
    def network(self) -> nn.Module:
        """The network in training."""
        assert self._view.network is not None
        return self._view.network

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dictionary for each finished epoch: acc, running_acc, val_acc and so on."""
        return self._view.history

    @property
    def findings(self) -> list[Finding]:
        """The mistakes that were seen so far."""
        return self.lint.findings

    def to(self, device: str | torch.device) -> Self:
        """Train on a device: "cpu", "cuda", "cuda:1", "mps"."""
        chosen = torch.device(check_device(str(device)))
        accelerator = {"cuda": "gpu"}.get(chosen.type, chosen.type)
        numbered = ":" in str(device) and accelerator != "cpu"
        devices: Any = [chosen.index] if numbered else 1
        return self.with_trainer(accelerator=accelerator, devices=devices)

    def with_trainer(self, **arguments: Any) -> Self:
        """Pass arguments on to Lightning's Trainer: accelerator, devices, strategy, precision..."""
        further = arguments.get("callbacks")
        if further is not None and not isinstance(further, Iterable):
            arguments["callbacks"] = [further]
        self.trainer_arguments |= arguments
        return self

    def run(
        self, epochs: int = 1, verbose: int = -1, *, checkpoint: str | Path | None = None
    ) -> list[dict[str, Any]]:
        """Train for `epochs` more epochs and return the history.

        Args:
            epochs: how many; with a checkpoint, how many there shall be in all.
            verbose: 2, 1 or 0 as for the trial; -1 takes the trial's.
            checkpoint: a file that the `Checkpoint` callback wrote, to continue from.

        Raises:
            TrainingError: data, optimizer or criterion is missing, a callback watches a metric
                that will not be there, the targets are not in a form that the criterion takes, or
                a label has no output.
            NonFiniteLossError: the loss became NaN or infinite.
            ResumeError: the checkpoint cannot be continued from; the trial stays as it was.
        """
        from lamplighter.training import engine

        view = self._view
        train, validation = self.sources[TRAIN_DATA], self.sources[VALIDATION_DATA]
        if view.optimizer is None or view.criterion is None or train.batches is None:
            raise TrainingError(
                "to run, a trial needs an optimizer, a criterion and training data: "
                "Trial(model, optimizer, criterion).with_generators(train_generator).run()."
            )
        if epochs < 0:
            raise TrainingError(f"the number of epochs must be at least 0, received {epochs}.")
        if checkpoint is not None and not Path(checkpoint).is_file():
            raise ResumeError(
                f"there is no checkpoint {checkpoint}; run without it to start again."
            )
        left_out = self.trainer_arguments.get("limit_val_batches") == 0
        view.stopping = False
        view.validating = validation.batches is not None and not left_out
        view.epochs = int(epochs) if checkpoint is not None else len(view.history) + int(epochs)
        self._check_callbacks()
        held_out = {"validation": validation.batches, "test": self.sources[TEST_DATA].batches}
        self.lint.before_training(train.batches, held_out, self.network, view.optimizer)
        resuming = as_before(view, self.callbacks) if checkpoint is not None else nullcontext()
        with resuming:
            engine.fit(
                self.plan(),
                train,
                validation if validation.batches is not None else None,
                extras=[c for c in self.callbacks if not isinstance(c, Callback)],
                arguments=self.trainer_arguments,
                seed=self.seed,
                verbose=self.verbose if verbose == -1 else verbose,
                checkpoint=Path(checkpoint) if checkpoint is not None else None,
            )
        if self.classifier is not None:
            self._note(self.classifier.record)
            self.classifier.trust = None  # measured with other weights
        return view.history

    def evaluate(
        self, verbose: int = -1, data_key: DataKey | str = VALIDATION_DATA
    ) -> dict[str, Any]:
        """Return the metrics on one pass over the data, as val_..., test_... or train_...

        The values also join the last entry of the history.

        Raises:
            TrainingError: there is no such data.
        """
        from lamplighter.training import engine

        key = checked_key(data_key)
        values = engine.evaluate(
            self.plan(),
            self.sources[key],
            arguments=self.trainer_arguments,
            verbose=self.verbose if verbose == -1 else verbose,
        )
        results = {f"{key.value}_{name}": value for name, value in values.items()}
        if self.history:
            self.history[-1].update(results)
        return results

    def predict(self, verbose: int = -1, data_key: DataKey | str = TEST_DATA) -> Tensor:
        """Return the network's outputs for the data in its order, shape (N, K), on the CPU.

        In a distributed training each process computes and returns all of them. Of data that a
        DataLoader shuffles nobody knows the order, which a line says.

        Raises:
            TrainingError: there is no such data.
        """
        from lamplighter.training import engine

        self.lint.before_predicting(self.sources[checked_key(data_key)].batches)
        batches = engine.predict(
            self.plan(),
            self.sources[checked_key(data_key)],
            arguments=self.trainer_arguments,
            verbose=self.verbose if verbose == -1 else verbose,
        )
        return torch.cat(batches)

    def replay(
        self,
        callbacks: Sequence[Callback] | None = None,
        verbose: int = 2,
        one_batch: bool = False,
    ) -> Self:
        """Let callbacks see the history again, for example to draw its curves.

        Only epochs, batches, metrics and history are filled in; there are no images or losses.

        Args:
            callbacks: what is to see it.
            verbose: 0 writes nothing, else a line for each epoch on stderr.
            one_batch: show one batch of each epoch rather than all.
        """
        from lamplighter.training.replay import replay

        replay(self.history, list(callbacks or ()), verbose=verbose, one_batch=one_batch)
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimizer state, history and random state, for `torch.save`."""
        return state_of(self._view, self.callbacks)

    def load_state_dict(self, state_dict: Mapping[str, Any], resume: bool = True) -> Self:
        """Take back what `state_dict` returned, from a trial that was made in the same way.

        Args:
            state_dict: as from `state_dict`; or the weights of the network alone, also as they
                are in a file of the `Checkpoint` callback.
            resume: take back everything, not the weights alone.

        Raises:
            ResumeError: it does not fit this trial, which stays as it was.
        """
        take_state(self._view, self.callbacks, state_dict, resume=resume)
        return self

    def _check_callbacks(self) -> None:
        """Look at the callbacks before a run, of which some may have been added since.

        Raises:
            TrainingError: one is none, or would watch a metric that will not be there.
        """
        check_callbacks(self.callbacks)
        watching = [*self.callbacks, *(self.trainer_arguments.get("callbacks") or [])]
        check_watched(watching, self.metrics, self._view)
        self.lint.callbacks(watching)

    def _note(self, record: Record) -> None:
        """Write down how the classifier was trained; scores of its old weights are void."""
        optimizer = self._view.optimizer
        record.recipe = {
            "optimizer": type(optimizer).__name__,
            "criterion": type(self._view.criterion).__name__,
            "learning_rate": self._view.learning_rate,
            "epochs": len(self.history),
            "seed": self.seed,
        }
        record.scores = {}

    def plan(self) -> Plan:
        """Return what the engine needs to know of this trial."""
        callbacks = [callback for callback in self.callbacks if isinstance(callback, Callback)]
        return Plan(self._view, self.metrics, callbacks, self.lint, self.seed)


def load_engine() -> None:
    """Import Lightning, which takes seconds, now rather than in the first run."""
    from lamplighter.training import engine  # noqa: F401
