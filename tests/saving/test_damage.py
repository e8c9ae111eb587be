"""Bundles that are damaged, or made to do harm: one clear error, and nothing happens."""

import io
import json
import os
import pickle
import stat
import struct
import zipfile

import pytest

from lamplighter.errors import BundleError, NetworkMissingError, NewerFormatError
from lamplighter.saving.bundle import describe, load
from lamplighter.saving.description import _canonical, sha256

ENTRIES = ("description.json", "weights.safetensors", "network.onnx")


def parts_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def zipped(path, entries, compression=zipfile.ZIP_STORED):
    """Write (name or ZipInfo, content) pairs to a zip, duplicates and all."""
    with zipfile.ZipFile(path, "w", compression) as bundle:
        for name, content in entries:
            bundle.writestr(name, content)
    return path


def signed(values, parts):
    """Return bundle entries with correct checksums, as a forger would make them."""
    values["sha256"] = {
        "weights": sha256(parts["weights.safetensors"]),
        "graph": sha256(parts["network.onnx"]),
    }
    values["sha256"]["description"] = sha256(_canonical(values))
    return list((parts | {"description.json": json.dumps(values).encode()}).items())


def forged(path, content, **changes):
    parts = parts_of(content)
    values = json.loads(parts["description.json"]) | changes
    return zipped(path, signed(values, parts))


def refused(path, match, kind=BundleError):
    """Both ways of reading name the file, on one line."""
    for read in (load, describe):
        with pytest.raises(kind, match=match) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class TestFiles:
    @pytest.mark.parametrize("name", ["weights.pt", "weights.PTH", "network.onnx", "w.safetensors"])
    def test_what_holds_a_model_of_another_kind(self, tmp_path, name):
        path, remedy = tmp_path / name, "load weights into their network, and make it a Classifier"
        refused(path, r"no such file; is the name right\?$")
        path.write_bytes(b"weights")
        refused(path, remedy)
        refused(zipped(path, [("archive/data.pkl", b"x")]), remedy)  # as torch.save writes it

    def test_missing_file_and_folder(self, tmp_path):
        refused(tmp_path / "missing.lamp", "no such file")
        refused(tmp_path, "must be a file, received a folder")

    def test_no_permission(self, path, monkeypatch):
        def deny(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("pathlib.Path.open", deny)
        refused(path, "Permission denied; may you read it")

    @pytest.mark.parametrize(
        "content", [b"", b"PK", b"no zip at all" * 99, b"PK\x05\x06" + bytes(18)]
    )
    def test_no_bundle(self, tmp_path, content):
        path = tmp_path / "x.lamp"
        path.write_bytes(content)
        refused(path, r"no bundle|description\.json")


class TestEntries:
    @pytest.mark.parametrize(
        "name", ["data.pkl", "/etc/passwd", "../outside", "sub/", "NETWORK.ONNX", "a\\b", "x" * 999]
    )
    def test_more_than_the_three_is_refused(self, path, content, name, tmp_path):
        zipped(path, [*parts_of(content).items(), (name, b"")])
        refused(path, "and nothing else, received an entry")
        assert [file.name for file in tmp_path.iterdir()] == ["copy.lamp"]

    @pytest.mark.parametrize("name", ENTRIES)
    def test_a_missing_one_is_refused(self, path, content, name):
        zipped(path, [part for part in parts_of(content).items() if part[0] != name])
        refused(path, f"holds one {name}, received 0")

    @pytest.mark.parametrize("name", ENTRIES)
    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_one_that_is_there_twice_is_refused(self, path, content, name):
        parts = parts_of(content)
        zipped(path, [*parts.items(), (name, parts[name])])
        refused(path, "received (2|an entry)")

    @pytest.mark.parametrize("name", ENTRIES)
    def test_links_are_refused(self, path, content, name):
        link = zipfile.ZipInfo(name)
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        parts = parts_of(content)
        zipped(path, [(link if key == name else key, part) for key, part in parts.items()])
        refused(path, f"{name} must be a plain file")

    @pytest.mark.parametrize("name", ENTRIES)
    def test_encrypted_ones_are_refused(self, path, content, name):
        damaged = bytearray(content)
        for signature, flags, filename in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
            start = -1
            while (start := damaged.find(signature, start + 1)) >= 0:
                if damaged[start + filename :].startswith(name.encode()):
                    damaged[start + flags] |= 1
        path.write_bytes(damaged)
        refused(path, f"{name} must be a plain file")

    def test_compressed_ones_are_refused_unread(self, path, content):
        parts = parts_of(content) | {"description.json": b"[" * 2**24}  # 16 MB in 16 kB
        zipped(path, parts.items(), zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 200_000
        refused(path, r"description\.json must be a plain file, stored as it is")

    @pytest.mark.parametrize("size", [2**31, 3])
    def test_impossible_sizes_are_refused(self, path, content, size):
        damaged = bytearray(content)
        start = damaged.index(b"PK\x01\x02")
        damaged[start + 20 : start + 28] = struct.pack("<II", size, size)
        path.write_bytes(damaged)
        refused(path, "impossible size|damaged")

    def test_a_huge_description_is_refused(self, path, content):
        zipped(path, (parts_of(content) | {"description.json": b" " * (2**24 + 1)}).items())
        refused(path, "impossible size of 16,777,217")


class TestPickle:
    def test_a_pickle_beside_the_three_is_never_read(self, path, content, tmp_path):
        bomb = pickle.dumps(Bomb(tmp_path / "harm"))
        zipped(path, [*parts_of(content).items(), ("data.pkl", bomb)])
        refused(path, r"'data\.pkl'")
        assert not (tmp_path / "harm").exists()

    def test_a_pickle_as_weights_is_never_unpickled(self, path, content, tmp_path):
        bomb = pickle.dumps(Bomb(tmp_path / "harm"))
        parts = parts_of(content)
        zipped(path, (parts | {"weights.safetensors": bomb}).items())
        refused(path, r"weights\.safetensors does not fit its checksum")
        values = json.loads(parts["description.json"])
        zipped(path, signed(values, parts | {"weights.safetensors": bomb}))
        for use in (lambda: load(path).to_torch(), lambda: load(path).weights()):
            with pytest.raises(BundleError, match=r"weights\.safetensors is damaged") as caught:
                use()
            assert str(caught.value).startswith(f"{path} cannot be loaded: ")
        assert not (tmp_path / "harm").exists()

    def test_a_pickle_as_bundle_or_description_is_never_unpickled(self, path, content, tmp_path):
        bomb = pickle.dumps(Bomb(tmp_path / "harm"))
        path.write_bytes(bomb)
        refused(path, "no bundle")
        zipped(path, (parts_of(content) | {"description.json": bomb}).items())
        refused(path, "not JSON")
        assert not (tmp_path / "harm").exists()


class TestDescription:
    def test_a_newer_format_says_to_update(self, path, content):
        parts = parts_of(content)
        parts["description.json"] = json.dumps({"format": 2, "all": "else"}).encode()
        zipped(path, [*parts.items(), ("tokens.json", b"")])
        refused(path, "later version .*format 2.*; update Lamplighter", NewerFormatError)

    @pytest.mark.parametrize(
        "text",
        [
            "[]",
            "null",
            "{}",
            '{"format": "1"}',
            '{"format": true}',
            '{"format": 0}',
            '{"format": 1}',
            '{"format": 1, "format": 1}',
            '{"format": NaN}',
            "[" * 100_000,
            '{"format": ' + "9" * 5000 + "}",
            "\ud800",
            '{"format": 1',
        ],
    )
    def test_anything_else_is_refused(self, path, content, text):
        description = text.encode(errors="surrogatepass")
        zipped(path, (parts_of(content) | {"description.json": description}).items())
        refused(path, "description is damaged")

    @pytest.mark.parametrize(
        "change",
        [
            {"class_names": "abc"},
            {"class_names": ["a", 2, "c"]},
            {"class_names": {}},
            {"written_by": None},
            {"record": {"recipe": {}, "data": {}}},
            {"record": {"recipe": {}, "data": {"train": 3}, "scores": {}}},
            {"record": {"recipe": [], "data": {}, "scores": {}}},
            {"architecture": {"name": 3, "arguments": {}}},
            {"architecture": {"name": "better-cnn"}},
            {"architecture": {"name": None}},
            {"architecture": {"name": None, "class": 4}},
            {"architecture": []},
            {"preprocessing": {}},
            {"unknown": 1},
        ],
    )
    def test_wrong_types_are_refused_whatever_the_checksum(self, path, content, change):
        refused(forged(path, content, **change), "description is damaged: ")

    @pytest.mark.parametrize(
        "change",
        [
            {"height": "12"},
            {"height": True},
            {"height": 12.0},
            {"mean": [None]},
            {"mean": 0.2},
            {"fit": ["squash"]},
            {"find_digit": 1},
            {"more": 1},
        ],
    )
    def test_preprocessing_is_checked_strictly(self, path, content, change):
        values = describe(path)["preprocessing"] | change
        refused(forged(path, content, preprocessing=values), "description is damaged: ")

    @pytest.mark.parametrize("change", [{"height": 0}, {"std": [-1.0]}, {"fit": "stretch"}])
    def test_values_out_of_range_are_refused(self, path, content, change):
        values = describe(path)["preprocessing"] | change
        with pytest.raises(BundleError, match=r"copy\.lamp cannot be loaded"):
            load(forged(path, content, preprocessing=values))

    @pytest.mark.parametrize("names", [["a"], [], ["a", "b", "a"]])
    def test_class_names_must_differ(self, path, content, names):
        with pytest.raises(BundleError, match="two or more class names"):
            load(forged(path, content, class_names=names))

    def test_any_change_is_noticed(self, path, content):
        parts = parts_of(content)
        values = json.loads(parts["description.json"])
        values["record"]["scores"]["test"]["acc"] = 0.99
        zipped(path, (parts | {"description.json": json.dumps(values).encode()}).items())
        refused(path, "checksum does not fit")

    @pytest.mark.parametrize(
        "architecture",
        [
            {"name": "better-cnn", "arguments": {"layers": 3}},
            {"name": "better-cnn", "arguments": {"num_classes": 5}},
            {"name": "better-cnn", "arguments": {"dropout": 7}},
            {"name": "simple-cnn", "arguments": {}},
        ],
    )
    def test_a_network_that_does_not_fit_its_weights_is_refused(self, path, content, architecture):
        loaded = load(forged(path, content, architecture=architecture))
        with pytest.raises(BundleError):
            loaded.to_torch()

    def test_a_damaged_graph_is_refused_when_it_is_run(self, path, content):
        from lamplighter.inference.runtime import runtime

        parts = parts_of(content)
        values = json.loads(parts["description.json"])
        zipped(path, signed(values, parts | {"network.onnx": b"damaged"}))
        with pytest.raises(BundleError, match="graph"):
            runtime(load(path))


@pytest.mark.parametrize(
    "architecture",
    [{"name": 3, "arguments": {}}, {"name": "better-cnn"}, {"name": None}, {}, {"class": 3}],
)
def test_an_incomplete_architecture_is_refused(path, content, architecture):
    refused(forged(path, content, architecture=architecture), "architecture")


def test_a_network_of_no_name_cannot_be_built(path, content):
    forged(path, content, architecture={"name": "", "arguments": {}})
    with pytest.raises(
        NetworkMissingError, match="cannot be built: the network '' is not registered"
    ):
        load(path).to_torch()
