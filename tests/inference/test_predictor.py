from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from lamplighter.errors import DataError, ImageError, ModelError, ShapeError
from lamplighter.inference.predictor import Predictions, predict, predict_pixels
from lamplighter.models.classifier import Classifier
from lamplighter.models.reliability import Trust

from .conftest import linear_graph


def pixels(count, shape=(1, 4, 6)):
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


def expected_logits(values, weight, bias):
    """What the linear classifier says, in double precision, straight from the definition."""
    inputs = (values.astype(float) / 255 - 0.25) / 0.5
    return inputs.reshape(len(values), -1) @ weight.astype(float) + bias


class TestPredictPixels:
    @pytest.mark.parametrize("batch_size", [1, 3, 10, 500])
    def test_gives_the_logits_of_each_image(self, classifier, weight, bias, batch_size):
        values = pixels(10)
        predictions = predict_pixels(classifier, values, batch_size=batch_size)
        np.testing.assert_allclose(
            predictions.logits, expected_logits(values, weight, bias), atol=1e-4
        )
        assert predictions.class_names == ("cat", "dog", "eel")
        assert predictions.sources == ()

    def test_tells_how_far_it_is(self, classifier):
        done = []
        predict_pixels(classifier, pixels(7), batch_size=3, progress=done.append)
        assert done == [3, 6, 7]

    def test_normalises_no_more_than_a_batch_at_a_time(self, classifier, monkeypatch):
        sizes, normalise = [], type(classifier.preprocessing).normalise

        def watched(self, batch):
            sizes.append(len(batch))
            return normalise(self, batch)

        monkeypatch.setattr(type(classifier.preprocessing), "normalise", watched)
        predict_pixels(classifier, pixels(25), batch_size=10)
        assert sizes == [10, 10, 5]

    def test_no_images_give_no_predictions(self, classifier):
        predictions = predict_pixels(classifier, pixels(0))
        assert len(predictions) == 0
        assert predictions.labels == []

    @pytest.mark.parametrize(
        "values",
        [pixels(2)[0], pixels(2).astype(np.float32), pixels(2, (3, 4, 6)), pixels(2, (1, 6, 4))],
    )
    def test_other_pixels_are_refused(self, classifier, values):
        with pytest.raises(ShapeError, match=r"uint8 of shape \(N, 1, 4, 6\), received"):
            predict_pixels(classifier, values)

    def test_the_batch_size_must_be_positive(self, classifier):
        with pytest.raises(DataError, match="at least 1, received 0"):
            predict_pixels(classifier, pixels(2), batch_size=0)


def written(folder):
    """Write nine images, and return their paths."""
    paths = []
    for index, image in enumerate(pixels(9)):
        path = folder / f"{index}.png"
        Image.fromarray(image[0]).save(path)
        paths.append(path)
    return paths


class TestPredict:
    @pytest.fixture
    def files(self, tmp_path):
        return written(tmp_path)

    @pytest.mark.parametrize("batch_size", [1, 4, 64])
    def test_files_are_answered_in_order(self, classifier, files, weight, bias, batch_size):
        predictions = predict(classifier, files, batch_size=batch_size)
        np.testing.assert_allclose(
            predictions.logits, expected_logits(pixels(9), weight, bias), atol=1e-4
        )
        assert predictions.sources == tuple(str(path) for path in files)

    def test_images_strings_and_paths_are_the_same(self, classifier, files):
        with Image.open(files[0]) as opened:
            predictions = predict(classifier, [files[0], str(files[0]), opened, opened.copy()])
        assert (predictions.logits == predictions.logits[0]).all()
        assert predictions.sources == (str(files[0]),) * 3 + ("",)

    def test_images_of_any_size_are_preprocessed(self, classifier, preprocessing):
        photo = Image.effect_noise((50, 40), 80).convert("RGB")
        logits = predict(classifier, [photo]).logits
        fitted = preprocessing.pixels(photo)[np.newaxis]
        np.testing.assert_array_equal(logits, predict_pixels(classifier, fitted).logits)

    def test_no_images_give_no_predictions(self, classifier):
        assert len(predict(classifier, [])) == 0

    @pytest.mark.parametrize("count", [1, 9])
    def test_a_bad_file_is_named(self, classifier, files, count):
        files[count - 1].write_bytes(b"no image")
        answers = predict(classifier, files[:count], batch_size=4)
        assert list(answers.errors) == [count - 1]
        with pytest.raises(ImageError, match=f"{count - 1}.png"):
            answers.raise_for_errors()

    @pytest.mark.parametrize("count", [1, 9])
    def test_an_image_too_large_for_the_memory_is_named(
        self, classifier, files, count, monkeypatch
    ):
        def exhausted(self, image):
            raise MemoryError

        monkeypatch.setattr(type(classifier.preprocessing), "_resize", exhausted)
        answers = predict(classifier, files[:count])
        assert len(answers.errors) == count
        assert answers.errors[0].fault == "too-large"
        with pytest.raises(ImageError, match=r"0\.png cannot be used: the image needs more memory"):
            answers.raise_for_errors()

    def test_one_image_instead_of_a_list_is_refused(self, classifier, files):
        for image in (files[0], str(files[0]), Image.new("L", (6, 4))):
            with pytest.raises(DataError, match="a list of images"):
                predict(classifier, image)
        for unknown in (pixels(1)[0], None):
            with pytest.raises(DataError, match=r"received a (ndarray|NoneType); write Image"):
                predict(classifier, [unknown])
        with pytest.raises(DataError, match=r"write find_files\(folder\)\.files"):
            predict(classifier, str(files[0].parent))
        with pytest.raises(DataError, match="received -1"):
            predict(classifier, files, batch_size=-1)


class TestFailures:
    """One result for each image, in the order they were given."""

    @pytest.fixture
    def mixed(self, tmp_path):
        given = written(tmp_path)
        given[0].write_bytes(b"no image")
        given[4] = given[4].read_bytes()
        given[5] = b"neither"
        given[8].unlink()
        return given

    @pytest.mark.parametrize("batch_size", [1, 3, 64])
    def test_good_ones_are_answered_as_if_alone(self, classifier, mixed, weight, bias, batch_size):
        told = []
        answers = predict(classifier, mixed, batch_size=batch_size, progress=told.append)
        assert told[-1] == len(answers) == 9
        assert list(answers.errors) == [0, 5, 8]
        good = [1, 2, 3, 4, 6, 7]
        assert np.flatnonzero(answers.answered).tolist() == good
        expected = expected_logits(pixels(9), weight, bias)
        np.testing.assert_allclose(answers.logits[good], expected[good], atol=1e-4)
        assert np.isnan(answers.logits[[0, 5, 8]]).all()
        assert np.isnan(answers.probabilities[[0, 5, 8]]).all()
        labels = [("cat", "dog", "eel")[row.argmax()] for row in expected]
        assert [answers.labels[number] for number in good] == [labels[number] for number in good]
        assert [answers.labels[number] for number in (0, 5, 8)] == [None] * 3
        assert answers.indices[[0, 5, 8]].tolist() == [-1] * 3
        assert answers.known.tolist() == answers.answered.tolist()
        assert [len(guesses) for guesses in answers.top(2)] == [0, 2, 2, 2, 2, 0, 2, 2, 0]
        counts = answers.counts()
        assert counts == {name: [labels[n] for n in good].count(name) for name in counts}
        assert sum(counts.values()) == len(good)
        assert list(counts.values()) == sorted(counts.values(), reverse=True)

    def test_each_is_a_result_of_its_own(self, classifier, mixed):
        answers = predict(classifier, (path for path in mixed))
        results = list(answers)
        assert [result.source for result in results] == [
            "" if isinstance(one, bytes) else str(one) for one in mixed
        ]
        for number, result in enumerate(results):
            assert (result.error is None) == (result.label is not None) == bool(result.guesses)
            assert answers[number].error is result.error
            assert (answers[number].label, answers[number].guesses) == (
                result.label,
                result.guesses,
            )
            assert (result.known, result.distance) == (None, None)
        assert results[1].guesses == tuple(answers.top(3)[1])
        assert answers[-1].source == str(mixed[-1])
        with pytest.raises(IndexError):
            answers[9]
        assert "0.png must be an image" in str(results[0].error)
        assert "the image given as bytes must be an image" in str(results[5].error)
        assert "there is no file" in str(results[8].error)

    def test_nothing_but_bad_ones(self, classifier, tmp_path):
        answers = predict(classifier, [tmp_path / "a.png", tmp_path / "b.png"])
        assert (answers.labels, answers.top(), answers.counts()) == ([None] * 2, [[], []], {})
        assert answers.logits.shape == (2, 3)

    def test_good_ones_alone_raise_nothing(self, classifier, mixed):
        predict(classifier, mixed[1:4]).raise_for_errors()


@pytest.mark.parametrize("ask", [predict, predict_pixels])
def test_what_is_no_classifier_is_told_how_to_become_one(ask):
    class Net:
        pass

    with pytest.raises(ModelError, match=r"received a Net; make one of a network: Classifier\("):
        ask(Net(), [])
    for path in ("digits.lamp", Path("digits.lamp")):
        with pytest.raises(ModelError, match=r"load the bundle first: load\('digits\.lamp'\)"):
            ask(path, [])


class TestPredictions:
    logits = np.array([[1.0, 3.0, 2.0], [1000.0, -1000.0, 1000.0]], dtype=np.float32)
    predictions = Predictions(logits, ("a", "b", "c"), ("one", "two"))

    def test_probabilities_are_the_softmax(self):
        shares = np.exp(self.logits[0].astype(float))
        np.testing.assert_allclose(
            self.predictions.probabilities, [shares / shares.sum(), [0.5, 0, 0.5]], atol=1e-6
        )

    def test_labels_and_top_name_the_classes(self):
        assert self.predictions.indices.tolist() == [1, 0]
        assert self.predictions.labels == ["b", "a"]
        top = self.predictions.top(2)
        assert [[name for name, _ in row] for row in top] == [["b", "c"], ["a", "c"]]
        assert top[1][0][1] == pytest.approx(0.5)
        assert [len(row) for row in self.predictions.top(9)] == [3, 3]
        for count in (0, -1):
            with pytest.raises(DataError, match=f"1 class or more, received {count}"):
                self.predictions.top(count)


class TestTrust:
    """A graph whose features are the logits, so that the distances are known."""

    @pytest.fixture
    def trusted(self, weight, bias, preprocessing):
        graph = linear_graph(
            weight,
            bias,
            nodes=[helper.make_node("Identity", ["logits"], ["features"])],
        )
        features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])
        graph.graph.output.append(features)
        classifier = Classifier.from_graph(
            graph.SerializeToString(), lambda: None, preprocessing, ("cat", "dog", "eel")
        )
        reference = np.eye(3, dtype=np.float32)[:2]
        classifier.trust = Trust(2.0, reference, 1, 0.8)
        return classifier

    @pytest.mark.parametrize("batch_size", [1, 3, 64])
    def test_distances_and_temperature_join_the_answers(self, trusted, weight, bias, batch_size):
        values = pixels(40)
        predictions = predict_pixels(trusted, values, batch_size=batch_size)
        logits = expected_logits(values, weight, bias)
        lengths = np.linalg.norm(logits, axis=1)
        apart = 1 - logits[:, :2].max(axis=1) / lengths
        np.testing.assert_allclose(predictions.distances, apart, atol=1e-4)
        shares = np.exp(logits / 2)
        np.testing.assert_allclose(
            predictions.probabilities, shares / shares.sum(axis=1, keepdims=True), atol=1e-4
        )
        known = apart <= 0.8
        assert 5 < known.sum() < 35
        np.testing.assert_array_equal(predictions.known, known)
        for label, is_known, row in zip(predictions.labels, known, logits, strict=True):
            assert label == (("cat", "dog", "eel")[row.argmax()] if is_known else "unknown")
        for guesses, row in zip(predictions.top(1), logits, strict=True):
            assert guesses[0][0] == ("cat", "dog", "eel")[row.argmax()]

    def test_files_have_them_too_unless_all_are_to_be_answered(self, trusted, tmp_path):
        values = pixels(9)
        files = [tmp_path / f"{number}.png" for number in range(9)]
        for path, image in zip(files, values, strict=True):
            Image.fromarray(image[0]).save(path)
        expected = predict_pixels(trusted, values)
        predictions = predict(trusted, files)
        np.testing.assert_array_equal(predictions.distances, expected.distances)
        assert predictions.measured
        files[2].write_bytes(b"")
        holed = predict(trusted, files, batch_size=4)
        others = np.delete(np.arange(9), 2)
        np.testing.assert_allclose(holed.distances[others], expected.distances[others], atol=1e-6)
        assert np.isnan(holed.distances[2])
        assert not holed.known[2]
        for number, result in enumerate(holed):
            known = None if number == 2 else bool(expected.known[number])
            assert (result.known, result.distance is None) == (known, number == 2)
        Image.fromarray(values[2][0]).save(files[2])
        assert (predictions.threshold, predictions.temperature) == (0.8, 2.0)
        answered = predict(trusted, files, always_answer=True)
        assert (answered.distances, answered.threshold, answered.temperature) == (None, None, 2.0)
        assert "unknown" not in answered.labels
        assert not answered.measured
        assert {(one.known, one.distance) for one in answered} == {(None, None)}
        np.testing.assert_array_equal(answered.probabilities, predictions.probabilities)

    def test_no_images(self, trusted):
        predictions = predict(trusted, [])
        assert (len(predictions), predictions.labels, predictions.distances.shape) == (0, [], (0,))

    def test_a_temperature_alone_measures_no_distances(self, classifier, weight, bias):
        classifier.trust = Trust(0.5)  # this graph has no features to give
        predictions = predict_pixels(classifier, pixels(5))
        assert predictions.distances is None
        assert predictions.known.all()
        shares = np.exp(2 * expected_logits(pixels(5), weight, bias))
        np.testing.assert_allclose(
            predictions.probabilities, shares / shares.sum(axis=1, keepdims=True), atol=1e-4
        )

    def test_the_trust_of_another_network_is_refused(self, trusted, classifier):
        trusted.trust = Trust(1.0, np.eye(4, dtype=np.float32), 1, 0.4)
        with pytest.raises(ShapeError, match="received 3 numbers an image and 4"):
            predict_pixels(trusted, pixels(2))
        classifier.trust = trusted.trust
        with pytest.raises(ModelError, match="features"):
            predict_pixels(classifier, pixels(2))

    def test_a_class_named_unknown_is_told_from_what_is_not_known(self):
        logits = np.eye(2, dtype=np.float32)
        distances = np.array([0.1, 0.9], dtype=np.float32)
        predictions = Predictions(logits, ("unknown", "b"), distances=distances, threshold=0.5)
        assert predictions.labels == ["unknown", "(unknown)"]
        assert predictions.known.tolist() == [True, False]


def test_a_path_may_be_a_string_or_a_path(classifier, tmp_path):
    missing = Path(tmp_path) / "missing.png"
    for path in (missing, str(missing)):
        (answer,) = predict(classifier, [path])
        assert "missing.png" in str(answer.error)
        assert answer.source == str(path)


def test_every_function_of_a_classifier_refuses_what_is_none(tmp_path):
    import lamplighter

    class Net:
        pass

    net, data = Net(), None
    asked = {
        "evaluate": lambda: lamplighter.evaluate(net, data),
        "compare": lambda: lamplighter.compare(net, net, data),
        "embed": lambda: lamplighter.embed(net, data),
        "map_of": lambda: lamplighter.map_of(net, data, "test"),
        "add_trust": lambda: lamplighter.add_trust(net, data),
        "save": lambda: lamplighter.save(net, tmp_path / "a.lamp"),
        "export": lambda: lamplighter.export(net, tmp_path / "a.onnx", "onnx"),
        "with_head": lambda: lamplighter.with_head(net, None, ["a", "b"]),
        "fine_tune": lambda: lamplighter.fine_tune(net, data),
        "feature_maps": lambda: lamplighter.feature_maps(net, "a.png"),
    }
    for name, ask in asked.items():
        with pytest.raises(ModelError, match=rf"^{name} takes a Classifier, received a Net; make"):
            ask()
