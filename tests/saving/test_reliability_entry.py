"""The trust of a classifier in its bundle: as it was, or refused."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from lamplighter.errors import BundleError
from lamplighter.inference.predictor import predict_pixels
from lamplighter.models.reliability import Trust
from lamplighter.saving import reliability_entry as saved_trust
from lamplighter.saving.bundle import describe, load, save
from lamplighter.saving.description import _canonical, describe_classifier, sha256
from lamplighter.saving.parity import Parity
from tests.saving.conftest import make_classifier, pixels
from tests.saving.test_damage import Bomb, parts_of, refused, zipped

ENTRY = "reference.npy"


@pytest.fixture
def path(trusted_content, tmp_path):
    path = tmp_path / "copy.lamp"
    path.write_bytes(trusted_content)
    return path


def forged(path, content, *, entry=None, **changes):
    """Write a bundle with another reference or trust, and every checksum right."""
    parts = parts_of(content)
    values = json.loads(parts["description.json"])
    if entry is not None:
        parts[ENTRY] = entry
        values["trust"]["reference"] = sha256(entry)
    values["trust"] = values["trust"] | changes
    del values["sha256"]["description"]
    values["sha256"]["description"] = sha256(_canonical(values))
    parts["description.json"] = json.dumps(values).encode()
    return zipped(path, parts.items())


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), **options)
    return file.getvalue()


class TestRoundTrip:
    def test_all_of_it_comes_back(self, trusted, path):
        loaded, expected = load(path).trust, trusted.trust
        np.testing.assert_array_equal(loaded.reference, expected.reference)
        assert loaded.reference.dtype == np.float32
        for name in ("temperature", "neighbours", "threshold", "measured"):
            assert getattr(loaded, name) == getattr(expected, name)

    def test_the_bundle_answers_as_the_classifier(self, trusted, path):
        images = pixels(30)
        here, there = predict_pixels(trusted, images), predict_pixels(load(path), images)
        np.testing.assert_allclose(there.distances, here.distances, atol=1e-5)
        np.testing.assert_allclose(there.probabilities, here.probabilities, atol=1e-5)
        assert there.threshold == 0.75

    def test_again_gives_the_same_entry(self, path, tmp_path):
        again = save(load(path), tmp_path / "again.lamp")
        assert parts_of(again.read_bytes())[ENTRY] == parts_of(path.read_bytes())[ENTRY]

    def test_a_temperature_alone_has_no_entry(self, tmp_path):
        classifier = make_classifier()
        classifier.trust = Trust(0.7, measured={"count": 3})
        path = save(classifier, tmp_path / "warm.lamp")
        assert list(parts_of(path.read_bytes())) == [
            "description.json",
            "weights.safetensors",
            "network.onnx",
        ]
        loaded = load(path)
        assert (loaded.trust.temperature, loaded.trust.reference) == (0.7, None)
        assert loaded.trust.measured == {"count": 3}

    def test_none_stays_none(self, content, tmp_path):
        (tmp_path / "plain.lamp").write_bytes(content)
        assert load(tmp_path / "plain.lamp").trust is None
        assert describe(tmp_path / "plain.lamp")["trust"] is None

    def test_a_bundle_of_the_first_version_has_none(self, content, tmp_path):
        parts = parts_of(content)
        values = json.loads(parts["description.json"])
        del values["trust"], values["sha256"]["description"]
        values["sha256"]["description"] = sha256(_canonical(values))
        parts["description.json"] = json.dumps(values).encode()
        path = zipped(tmp_path / "old.lamp", parts.items())
        assert load(path).trust is None
        assert describe(path)["trust"] is None

    def test_numpy_reads_the_entry(self, path, trusted):
        with zipfile.ZipFile(path) as bundle, bundle.open(ENTRY) as file:
            vectors = np.load(io.BytesIO(file.read()), allow_pickle=False)
        assert vectors.dtype == np.float16
        np.testing.assert_array_equal(vectors, trusted.trust.reference)


class TestSaving:
    def test_the_trust_of_another_network_is_refused(self, trusted, tmp_path):
        classifier = make_classifier()
        classifier.trust = Trust(1.0, np.eye(3, dtype=np.float32), 1, 0.5)
        with pytest.raises(BundleError, match="received a reference of 3; make it anew"):
            save(classifier, tmp_path / "a.lamp")
        assert list(tmp_path.iterdir()) == []

    def test_a_reference_that_is_too_large_is_refused(self, trusted, monkeypatch):
        monkeypatch.setattr(saved_trust, "MAX_REFERENCE", 1500)
        with pytest.raises(BundleError, match="keep fewer training images"):
            saved_trust.described(trusted.trust)

    @pytest.mark.parametrize("wrong", [float("nan"), {1, 2}])
    def test_measurements_that_json_cannot_hold_are_refused(self, trusted, wrong):
        values, _ = saved_trust.described(Trust(measured={"mine": wrong}))
        parity = Parity("images", 0.0)
        with pytest.raises(BundleError, match="plain JSON values alone"):
            describe_classifier(trusted, parity, weights=b"", graph=b"", trust=values)


class TestEntries:
    def test_a_missing_reference_is_refused(self, path, trusted_content):
        parts = parts_of(trusted_content)
        zipped(path, [part for part in parts.items() if part[0] != ENTRY])
        refused(path, r"holds one reference\.npy, received 0")

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_one_too_many_is_refused(self, path, content, trusted_content):
        reference = parts_of(trusted_content)[ENTRY]
        zipped(path, [*parts_of(trusted_content).items(), (ENTRY, reference)])
        refused(path, "received an entry")
        zipped(path, [*parts_of(content).items(), (ENTRY, reference)])  # which nothing speaks of
        refused(path, r"nothing else, received an entry 'reference\.npy'")

    def test_compressed_or_huge_ones_are_refused(self, path, trusted_content, monkeypatch):
        zipped(path, parts_of(trusted_content).items(), zipfile.ZIP_DEFLATED)
        refused(path, "stored as it is")
        monkeypatch.setattr("lamplighter.saving.archive._LIMITS", {ENTRY: 100})
        path.write_bytes(trusted_content)
        refused(path, r"reference\.npy has an impossible size")

    def test_another_reference_does_not_fit_the_checksum(self, path, trusted_content):
        parts = parts_of(trusted_content)
        parts[ENTRY] = parts[ENTRY][:-1] + bytes([parts[ENTRY][-1] ^ 1])
        zipped(path, parts.items())
        for read in (load, describe):
            with pytest.raises(BundleError, match=r"reference\.npy does not fit its checksum"):
                read(path)


HALVES = np.ones((4, 3), dtype=np.float16)


class TestReference:
    @pytest.mark.parametrize(
        "array",
        [
            np.ones((4, 3), dtype=np.float32),
            np.ones((4, 3), dtype=">f2"),
            np.ones(4, dtype=np.float16),
            np.ones((2, 2, 2), dtype=np.float16),
            np.ones((0, 3), dtype=np.float16),
            np.ones((4, 0), dtype=np.float16),
            np.asfortranarray(HALVES),
            np.ones((4, 3), dtype=[("a", "<f2")]),
        ],
    )
    def test_other_arrays_are_refused(self, path, trusted_content, array):
        forged(path, trusted_content, entry=npy(array, version=(1, 0)))
        with pytest.raises(BundleError, match=r"copy\.lamp.*float16 of shape \(M, D\)") as caught:
            load(path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\x93NUMPY",
            b"no array",
            npy(HALVES)[:40],
            npy(HALVES, version=(2, 0)),
            npy(HALVES).replace(b"'descr'", b"'names'"),
            npy(HALVES).replace(b"{", b"("),
            npy(HALVES).replace(b"(4, 3)", b"(4,-3)"),
            npy(HALVES).replace(b"(4, 3)", b"(4, True)"),
            b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
            b"PK\x03\x04" + bytes(100),
        ],
    )
    def test_what_is_no_array_is_refused(self, path, trusted_content, content):
        forged(path, trusted_content, entry=content)
        with pytest.raises(BundleError, match=r"reference\.npy is damaged") as caught:
            load(path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("length", [-1, -5, 1, 100])
    def test_a_length_that_does_not_fit_is_refused(self, path, trusted_content, length):
        content = npy(HALVES)
        content = content[:length] if length < 0 else content + bytes(length)
        forged(path, trusted_content, entry=content)
        with pytest.raises(BundleError, match="length does not fit"):
            load(path)

    def test_a_shape_beyond_all_memory_takes_none(self, path, trusted_content):
        content = npy(HALVES).replace(b"(4, 3), }" + b" " * 16, b"(4000000000000, 3000), }  ")
        assert b"4000000000000" in content
        forged(path, trusted_content, entry=content)
        with pytest.raises(BundleError, match=r"length does not fit|damaged"):
            load(path)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_vectors_must_be_finite(self, path, trusted_content, value):
        forged(path, trusted_content, entry=npy(np.full((4, 3), value, dtype=np.float16)))
        with pytest.raises(BundleError, match="the reference must be finite"):
            load(path)

    def test_a_pickle_is_never_unpickled(self, path, trusted_content, tmp_path):
        bomb = Bomb(tmp_path / "harm")
        for content in (pickle.dumps(bomb), npy(np.array([[bomb]]), allow_pickle=True)):
            forged(path, trusted_content, entry=content)
            with pytest.raises(BundleError, match=r"reference\.npy is damaged"):
                load(path)
        assert not (tmp_path / "harm").exists()


class TestDescription:
    @pytest.mark.parametrize(
        "change",
        [
            {"temperature": "1"},
            {"temperature": True},
            {"temperature": None},
            {"neighbours": 1.5},
            {"neighbours": True},
            {"threshold": "0.5"},
            {"threshold": None},
            {"measured": []},
            {"reference": 3},
            {"reference": None},
            {"more": 1},
        ],
    )
    def test_wrong_types_are_refused(self, path, trusted_content, change):
        refused(forged(path, trusted_content, **change), "description is damaged: ")

    @pytest.mark.parametrize(
        "change",
        [
            {"temperature": 0},
            {"temperature": 1e300},
            {"temperature": 10**400},
            {"neighbours": 0},
            {"neighbours": 21},
            {"threshold": -0.1},
            {"threshold": 10**400},
        ],
    )
    def test_values_out_of_range_are_refused(self, path, trusted_content, change):
        with pytest.raises(BundleError, match=r"copy\.lamp cannot be loaded: its trust is damaged"):
            load(forged(path, trusted_content, **change))

    @pytest.mark.parametrize("trust", [3, [], "none", {}, {"temperature": 1.0}])
    def test_anything_else_is_refused(self, path, trusted_content, trust):
        parts = parts_of(trusted_content)
        values = json.loads(parts["description.json"]) | {"trust": trust}
        del values["sha256"]["description"]
        values["sha256"]["description"] = sha256(_canonical(values))
        parts["description.json"] = json.dumps(values).encode()
        zipped(path, parts.items())
        refused(path, "description is damaged: ")
