"""What Lightning does to its surroundings, and what is done about it."""

import os

import pytest
import torch
from pytorch_lightning.profilers import SimpleProfiler
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature

from lamplighter.training.lightning_compat import Unprofiled, quietly
from lamplighter.training.step import TrialModule
from tests.training import toys

SEARCH = "PYTORCH_NVML_BASED_CUDA_CHECK"


@pytest.mark.parametrize(("present", "kept"), [(False, False), (True, True)])
def test_the_driver_is_searched_for_only_where_there_is_a_gpu(monkeypatch, present, kept):
    monkeypatch.setenv(SEARCH, "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    with quietly():
        pass
    assert (SEARCH in os.environ) is kept


def test_a_profiler_of_ones_own_still_measures():
    profiler = SimpleProfiler()
    toys.trial().with_generators(toys.loader(16)).with_trainer(profiler=profiler).run(1)
    assert len(profiler.recorded_durations["run_training_batch"]) == 2


def test_without_one_nothing_is_measured():
    with Unprofiled().profile("run_training_batch") as measured:
        assert measured is None


def test_lightning_sees_the_arguments_of_the_training_step():
    step = TrialModule.training_step
    assert is_param_in_hook_signature(step, "batch_idx", min_args=2)
    assert not is_param_in_hook_signature(step, "dataloader_iter")
