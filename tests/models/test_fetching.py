"""Weights fetched by timm's own loading code, from a hub on this machine."""

import json
import os
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from lamplighter.errors import DownloadError, ModelError
from lamplighter.models.fetching import fetched
from lamplighter.models.pretrained import pretrained_classifier

NAME = "test_resnet"  # timm's smallest
SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"


class Hub(ThreadingHTTPServer):
    """What huggingface.co answers when files of one repository are asked for."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.wfile.write(self.answer())

    def answer(self):
        name = self.path.split("?")[0].rpartition("/")[2]
        content = self.server.files.get(name)
        self.server.asked.append(f"{self.command} {name}")
        self.send_response(404 if content is None else 200)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        body = content or b""
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hash(body) & 0xFFFFFFFF:x}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        return body

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def network():
    import timm

    torch.manual_seed(2)
    return timm.create_model(NAME).eval()


@pytest.fixture(scope="module")
def safe(network):
    from safetensors.torch import save

    return save({key: value.contiguous() for key, value in network.state_dict().items()})


def expected(network, classifier):
    size = (classifier.preprocessing.height, classifier.preprocessing.width)
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        return classifier.network(images), network(images)


def test_weights_are_fetched_once_and_loaded(hub, network, safe):
    hub.files[SAFE] = safe
    classifier = pretrained_classifier(NAME)
    torch.testing.assert_close(*expected(network, classifier), rtol=1e-4, atol=1e-5)
    assert classifier.preprocessing.mean == (0.5, 0.5, 0.5)
    assert classifier.record.recipe["weights"].startswith("timm/test_resnet")
    assert f"GET {SAFE}" in hub.asked

    hub.asked.clear()  # the second time nothing leaves the machine
    again = pretrained_classifier(NAME)
    torch.testing.assert_close(*expected(network, again), rtol=1e-4, atol=1e-5)
    assert hub.asked == []


def test_weights_in_torchs_own_format_are_read_without_unpickling(hub, network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.bin")
    hub.files[PICKLED] = (tmp_path / "weights.bin").read_bytes()
    classifier = pretrained_classifier(NAME)
    torch.testing.assert_close(*expected(network, classifier), rtol=1e-4, atol=1e-5)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("pack", ["pickle", "torch"])
def test_a_pickle_is_refused_and_not_run(hub, tmp_path, pack):
    mark = tmp_path / "harmed"
    if pack == "pickle":
        hub.files[PICKLED] = pickle.dumps({"weight": Harmful(mark)})
    else:
        torch.save({"weight": Harmful(mark)}, tmp_path / "weights.bin")
        hub.files[PICKLED] = (tmp_path / "weights.bin").read_bytes()
    with pytest.raises(ModelError, match="not safe to load"):
        pretrained_classifier(NAME)
    assert not mark.exists()
    with pytest.raises(ModelError, match="not safe to load"):  # from the cache, as well
        pretrained_classifier(NAME)
    assert not mark.exists()


def test_damaged_weights_are_refused(hub, safe):
    hub.files[SAFE] = safe[:1000]
    with pytest.raises(ModelError, match="damaged"):
        pretrained_classifier(NAME)


def test_a_network_that_the_hub_does_not_have_is_named(hub):
    with pytest.raises(DownloadError, match=rf"weights of {NAME} must be fetched .* installed"):
        pretrained_classifier(NAME)


def test_offline_the_message_names_what_is_installed(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody is there
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached .*efficientnet-lite0"):
        pretrained_classifier(NAME)
    assert hub.asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="fetched from the internet once"):
        pretrained_classifier(NAME)
    assert constants.HF_HUB_OFFLINE is True


@pytest.mark.parametrize("before", [None, "0"])
def test_torch_is_kept_from_unpickling_meanwhile(monkeypatch, before):
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv(name, before)
    assert fetched("x", lambda: os.environ[name]) == "1"
    with pytest.raises(ModelError, match="the weights of x are damaged"):
        fetched("x", lambda: json.loads("{"))
    assert os.environ.get(name) == before
