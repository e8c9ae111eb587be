import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn.metrics import f1_score

from lamplighter.errors import ArgumentError, DatasetError
from lamplighter.evaluation.intervals import Estimate, bootstrap_macro_f1, mcnemar, wilson
from lamplighter.evaluation.metrics import confusion_matrix, macro_f1

shares = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
tables = st.tuples(*[st.integers(0, 400)] * 4).filter(any)


def pairs(both: int, only_a: int, only_b: int, neither: int):
    counts = (both, only_a, only_b, neither)
    return np.repeat([True, True, False, False], counts), np.repeat(
        [True, False, True, False], counts
    )


class TestEstimate:
    def test_reads_in_per_cent(self):
        estimate = Estimate(0.9913, 0.9893, 0.9930)
        assert str(estimate) == "99.13 % (95 % interval 98.93 to 99.30)"
        assert f"{estimate:.0f}" == "99 % (95 % interval 99 to 99)"
        assert str(Estimate(0.5, 0.4, 0.6, 0.99)) == "50.00 % (99 % interval 40.00 to 60.00)"

    def test_plain_values(self):
        assert Estimate(0.5, 0.4, 0.6).to_dict() == {
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "confidence": 0.95,
        }


class TestWilson:
    @given(share=shares, confidence=st.floats(0.5, 0.999))
    @settings(max_examples=60, deadline=None)
    def test_agrees_with_scipy(self, share, confidence):
        estimate = wilson(*share, confidence=confidence)
        expected = binomtest(*share).proportion_ci(confidence, method="wilson")
        assert estimate.value == share[0] / share[1]
        assert estimate.low == pytest.approx(expected.low, abs=1e-12)
        assert estimate.high == pytest.approx(expected.high, abs=1e-12)

    @given(share=shares)
    def test_is_a_mirror_and_holds_the_share(self, share):
        right, wrong = wilson(*share), wilson(share[1] - share[0], share[1])
        assert 0 <= right.low <= right.value <= right.high <= 1
        assert right.low < right.high
        assert right.low == pytest.approx(1 - wrong.high, abs=1e-12)

    def test_ends_where_nothing_or_everything_succeeds(self):
        assert wilson(0, 7).low == 0.0
        assert wilson(7, 7).high == 1.0

    @pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
    def test_holds_the_true_share_about_95_times_in_100(self, share):
        seen = np.random.default_rng(0).binomial(1000, share, size=4000)
        intervals = {count: wilson(int(count), 1000) for count in np.unique(seen)}
        held = np.mean([intervals[count].low <= share <= intervals[count].high for count in seen])
        assert held == pytest.approx(0.95, abs=0.015)

    @pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
    def test_impossible_counts(self, successes, trials):
        with pytest.raises(ArgumentError, match=f"received {successes} of {trials}"):
            wilson(successes, trials)

    @pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
    def test_impossible_confidence(self, confidence):
        with pytest.raises(ArgumentError, match=f"received {confidence}"):
            wilson(1, 2, confidence=confidence)


class TestBootstrap:
    def test_equals_resampling_the_images(self):
        generator = np.random.default_rng(1)
        labels = generator.choice(4, 300, p=[0.4, 0.3, 0.2, 0.1])
        predicted = np.where(generator.random(300) < 0.8, labels, generator.integers(0, 4, 300))
        measured = f1_score(labels, predicted, average="macro")
        drawn = []
        for _ in range(800):
            chosen = generator.integers(0, 300, 300)
            drawn.append(f1_score(labels[chosen], predicted[chosen], average="macro"))
        bias = norm.ppf(np.mean(np.array(drawn) < measured))
        expected = np.quantile(drawn, norm.cdf(2 * bias + norm.ppf([0.025, 0.975])))
        estimate = bootstrap_macro_f1(confusion_matrix(labels, predicted, 4))
        assert estimate.value == pytest.approx(measured, abs=1e-12)
        assert [estimate.low, estimate.high] == pytest.approx(list(expected), abs=0.012)

    @pytest.mark.parametrize(("classes", "images", "right"), [(5, 400, 0.85), (40, 400, 0.7)])
    def test_holds_the_true_score_about_95_times_in_100(self, classes, images, right):
        # With 40 classes of 10 images, percentiles that are not corrected hold it 85 times.
        generator = np.random.default_rng(2)
        truth = np.full((classes, classes), (1 - right) / (classes - 1))
        np.fill_diagonal(truth, right)
        held = 0
        for _ in range(100):
            counts = generator.multinomial(images, truth.ravel() / classes)
            estimate = bootstrap_macro_f1(counts.reshape(classes, classes), resamples=800)
            held += estimate.low <= right <= estimate.high  # macro-F1 of `truth` is `right`
        assert held / 100 == pytest.approx(0.95, abs=0.05)

    def test_is_repeatable_and_follows_the_seed(self):
        confusion = np.array([[45, 5], [10, 40]])
        assert bootstrap_macro_f1(confusion) == bootstrap_macro_f1(confusion)
        assert bootstrap_macro_f1(confusion) != bootstrap_macro_f1(confusion, seed=1)

    @given(cells=st.lists(st.integers(0, 9), min_size=9, max_size=9).filter(any))
    @settings(max_examples=40, deadline=None)
    def test_holds_what_was_measured(self, cells):
        confusion = np.array(cells).reshape(3, 3)
        estimate = bootstrap_macro_f1(confusion, resamples=50)
        assert estimate.value == macro_f1(confusion)
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1

    def test_is_not_sure_after_no_mistake_on_a_few_images(self):
        estimate = bootstrap_macro_f1(np.diag([5, 5, 0]))
        assert (estimate.value, estimate.high) == (1.0, 1.0)
        assert estimate.low == pytest.approx(wilson(10, 10).low)  # classes of equal size
        assert bootstrap_macro_f1(np.diag([9, 1])).low < estimate.low

    def test_a_thousand_classes_take_little_memory(self):
        generator = np.random.default_rng(3)
        labels = generator.integers(0, 1000, 20_000)
        predicted = np.where(generator.random(20_000) < 0.7, labels, (labels + 1) % 1000)
        confusion = confusion_matrix(labels, predicted, 1000)
        tracemalloc.start()
        estimate = bootstrap_macro_f1(confusion, resamples=100)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert estimate.low < estimate.value < estimate.high
        assert peak < 3 * confusion.nbytes

    def test_nothing_to_draw_from(self):
        with pytest.raises(DatasetError, match="one image or more"):
            bootstrap_macro_f1(np.zeros((3, 3), dtype=np.int64))
        with pytest.raises(ArgumentError, match="received 0"):
            bootstrap_macro_f1(np.eye(3, dtype=np.int64), resamples=0)


class TestMcNemar:
    @given(table=tables)
    @settings(max_examples=60, deadline=None)
    def test_agrees_with_the_binomial_test(self, table):
        result = mcnemar(*pairs(*table))
        assert (result.both, result.only_a, result.only_b, result.neither) == table
        _, only_a, only_b, _ = table
        expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
        assert result.p_value == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize(
        ("only_a", "only_b"), [(500_000, 501_000), (10_000, 400), (3_000, 0), (0, 1)]
    )
    def test_stays_exact_for_large_counts(self, only_a, only_b):
        p_value = mcnemar(*pairs(5, only_a, only_b, 5)).p_value
        expected = binomtest(only_a, only_a + only_b).pvalue
        assert p_value == pytest.approx(expected, rel=1e-6, abs=1e-300)

    @given(table=tables)
    @settings(max_examples=60, deadline=None)
    def test_exchanging_the_classifiers_changes_the_sign_alone(self, table):
        a_right, b_right = pairs(*table)
        there, back = mcnemar(a_right, b_right), mcnemar(b_right, a_right)
        assert there.p_value == back.p_value
        assert there.difference.value == -back.difference.value
        assert there.difference.low == pytest.approx(-back.difference.high, abs=1e-12)
        assert there.difference.value == pytest.approx(a_right.mean() - b_right.mean(), abs=1e-12)
        low, high = there.difference.low, there.difference.high
        assert -1 <= low <= there.difference.value <= high <= 1

    @pytest.mark.parametrize(
        ("table", "low", "high"),
        [
            # Published examples of Newcombe's method: airway reactivity before and after a
            # transplantation (Bentur et al., 2009), response to a therapy (Cavo et al., 2012).
            ((1, 1, 7, 12), -0.507, -0.026),
            ((59, 6, 16, 80), -0.1186, -0.0046),
        ],
    )
    def test_interval_of_published_tables(self, table, low, high):
        difference = mcnemar(*pairs(*table)).difference
        places = 3 if table[0] == 1 else 4
        assert (round(difference.low, places), round(difference.high, places)) == (low, high)

    def test_interval_holds_the_true_difference_about_95_times_in_100(self):
        generator = np.random.default_rng(4)
        draws = generator.multinomial(500, [0.85, 0.06, 0.03, 0.06], size=1000)
        intervals = [mcnemar(*pairs(*draw)).difference for draw in draws]
        held = np.mean([one.low <= 0.03 <= one.high for one in intervals])
        assert held == pytest.approx(0.95, abs=0.02)

    def test_the_same_classifier_twice(self):
        right = np.arange(50) < 40
        result = mcnemar(right, right)
        assert (result.p_value, result.difference.value) == (1.0, 0.0)
        assert result.difference.low <= 0 <= result.difference.high
        assert mcnemar(np.ones(9, bool), np.ones(9, bool)).p_value == 1.0

    def test_plain_values(self):
        values = mcnemar(*pairs(80, 10, 0, 10)).to_dict()
        assert values["p_value"] == pytest.approx(2 * math.pow(0.5, 10))
        assert values["difference"]["value"] == pytest.approx(0.1)

    @pytest.mark.parametrize("shapes", [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
    def test_answers_that_do_not_pair(self, shapes):
        with pytest.raises(DatasetError, match="the same images"):
            mcnemar(*(np.ones(shape, dtype=bool) for shape in shapes))
