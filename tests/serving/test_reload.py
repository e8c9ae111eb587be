"""A bundle that is replaced while the service runs."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from lamplighter.inference.predictor import predict
from lamplighter.saving.bundle import load

from . import bundles

WATCH = 0.02


def replaced(path, made):
    """Replace a bundle as one does whose readers may not see half of it."""
    bundles.write(path.with_suffix(".new"), made).replace(path)


def version_of(document):
    """Return the number in the names of the classes of the network that answered."""
    (version,) = {row["label"][1] for row in document["predictions"]}
    return version


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_request_is_lost_and_none_is_answered_by_two(serving, bundle):
    images = bundles.pictures(6)
    made = [bundles.classifier(seed, names=(f"a{seed}", f"b{seed}")) for seed in range(4)]
    replaced(bundle, made[0])
    wanted = {}
    for seed, one in enumerate(made):
        found = predict(bundles.classifier(seed, names=one.class_names), images)
        wanted[str(seed)] = found.labels
    client = serving(watch=WATCH)
    files = [("image", (str(number), image)) for number, image in enumerate(images)]
    answers, stop = [], []

    def ask():
        while not stop:
            response = client.post("/predict", files=files)
            answers.append((response.status_code, response.json()))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        for seed, one in enumerate(made[1:], start=1):
            replaced(bundle, one)
            until(
                lambda seed=seed: (
                    answers and answers[-1][1]["predictions"][0]["label"][1] == str(seed)
                )
            )
        stop.append(True)
        for one in asking:
            one.result()
    assert {status for status, _ in answers} == {200}
    seen = set()
    for _, document in answers:
        labels = [row["label"] for row in document["predictions"]]
        seen.add(version_of(document))
        assert labels == wanted[version_of(document)]
    assert seen == {"0", "1", "2", "3"}


def test_a_broken_bundle_changes_nothing(serving, bundle, caplog):
    (image,) = bundles.pictures(1)
    client = serving(watch=WATCH)
    caplog.set_level("INFO", "lamplighter.serving")
    before = client.post("/predict", content=image).json()
    good = bundle.read_bytes()

    def refused():
        return [record for record in caplog.records if record.message == "bundle refused"]

    for number, content in enumerate((b"", b"no bundle", good[: len(good) // 2]), start=1):
        bundle.write_bytes(content)
        until(lambda number=number: len(refused()) >= number)
        assert client.post("/predict", content=image).json() == before
    assert all(str(bundle) in record.fields["error"] for record in refused())
    bundle.unlink()
    time.sleep(5 * WATCH)
    assert client.post("/predict", content=image).json() == before
    assert 'lamplighter_reloads_total{model="pets",result="failed"}' in client.get("/metrics").text
    # A good one is taken again.
    replaced(bundle, bundles.classifier(5, names=("x", "y")))
    until(lambda: client.post("/predict", content=image).json()["predictions"][0]["label"] in "xy")
    assert client.get("/v2/health/ready").status_code == 200


def test_a_bundle_that_is_only_touched_is_loaded_and_says_the_same(serving, bundle):
    client = serving(watch=WATCH)
    before = client.get("/v2/models/pets").json()
    shutil.copy(bundle, bundle.with_suffix(".copy"))
    bundle.with_suffix(".copy").replace(bundle)
    until(lambda: 'result="loaded"' in client.get("/metrics").text)
    assert client.get("/v2/models/pets").json() == before
    assert load(bundle).class_names == bundles.NAMES
