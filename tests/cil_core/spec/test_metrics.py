"""Every reported number against values worked out by hand, and what must hold for any accuracy matrix."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cil_core.spec.metrics import METRICS, AccuracyMatrix, Summary, intransigence, matrix_digest, summarize

Rows = list[list[int]]


def summary(rows: Rows, totals: list[int], top5: Rows | None = None) -> Summary:
    return summarize(rows, top5 or rows, totals)


@st.composite
def matrices(draw: st.DrawFn, fewest: int = 1) -> tuple[Rows, list[int]]:
    """Any triangle of counts over tasks of any sizes."""
    totals = [draw(st.integers(1, 500)) for _ in range(draw(st.integers(fewest, 12)))]
    rows = [[draw(st.integers(0, totals[j])) for j in range(t + 1)] for t in range(len(totals))]
    return rows, totals


# ---------------------------------------------------------------------- worked by hand


def test_three_equal_tasks_give_the_numbers_worked_out_by_hand() -> None:
    result = summary([[90], [50, 80], [60, 70, 90]], [100, 100, 100])
    assert result.curve == pytest.approx((0.9, 0.65, 2.2 / 3))
    assert result.average_accuracy == pytest.approx((0.9 + 0.65 + 2.2 / 3) / 3)
    assert round(result.average_accuracy, 4) == 0.7611
    assert result.average_accuracy_without_base == pytest.approx((0.65 + 2.2 / 3) / 2)
    assert round(result.last_accuracy, 4) == 0.7333
    assert result.forgetting == pytest.approx(0.2)
    assert result.forgetting_clipped == pytest.approx(0.2)
    assert result.backward_transfer == pytest.approx(-0.2)
    assert result.old_accuracy == pytest.approx(0.65)
    assert result.new_accuracy == pytest.approx(0.9)
    assert result.harmonic_accuracy == pytest.approx(2 * 0.65 * 0.9 / 1.55)


def test_few_shot_numbers_separate_the_first_task_from_all_later_ones() -> None:
    result = summary([[90], [50, 8], [60, 4, 5]], [100, 10, 10])
    assert result.performance_drop == pytest.approx(0.9 - 69 / 120)
    assert result.base_accuracy == pytest.approx(0.6)
    assert result.novel_accuracy == pytest.approx(9 / 20)
    assert result.base_novel_accuracy == pytest.approx(2 * 0.6 * 0.45 / 1.05)
    assert summary([[9], [0, 0]], [10, 10]).base_novel_accuracy == 0


def test_a_task_that_improved_at_the_end_is_forgotten_negatively() -> None:
    matrix = AccuracyMatrix([[90], [50, 80], [95, 70, 90]], [100, 100, 100])
    assert matrix.forgetting_terms() == pytest.approx([-0.05, 0.1])
    result = summary([[90], [50, 80], [95, 70, 90]], [100, 100, 100])
    assert result.forgetting == pytest.approx(0.025)
    assert result.forgetting_clipped == pytest.approx(0.05)
    assert result.backward_transfer == pytest.approx((0.05 - 0.1) / 2)


def test_the_best_earlier_accuracy_need_not_be_the_first() -> None:
    matrix = AccuracyMatrix([[50], [70, 80], [60, 80, 90]], [100, 100, 100])
    assert matrix.forgetting_terms() == pytest.approx([0.1, 0.0])
    assert matrix.backward_transfer() == pytest.approx((0.1 + 0.0) / 2)


def test_a_larger_first_task_weighs_by_its_images() -> None:
    """B50-Inc10 with 10 test images a class: A_2 = (400 + 20) / 600, not the mean of 0.8 and 0.2."""
    result = summary([[450], [400, 20]], [500, 100])
    assert result.curve == pytest.approx((0.9, 0.7))
    assert result.average_accuracy == pytest.approx(0.8)
    assert result.average_accuracy_without_base == pytest.approx(0.7)


def test_a_smaller_last_task_weighs_by_its_images() -> None:
    result = summary([[30], [20, 10], [10, 20, 4]], [30, 30, 10])
    assert result.last_accuracy == pytest.approx(34 / 70)
    assert result.old_accuracy == pytest.approx(30 / 60)
    assert result.new_accuracy == pytest.approx(0.4)


def test_one_task_leaves_undefined_what_compares_tasks() -> None:
    result = summary([[7]], [10])
    assert result.average_accuracy == result.last_accuracy == result.new_accuracy == 0.7
    undefined = (
        result.average_accuracy_without_base,
        result.forgetting,
        result.forgetting_clipped,
        result.backward_transfer,
        result.old_accuracy,
        result.harmonic_accuracy,
    )
    assert undefined == (None,) * 6


def test_the_harmonic_mean_of_nothing_is_nothing() -> None:
    assert summary([[0], [0, 0]], [10, 10]).harmonic_accuracy == 0
    assert summary([[9], [0, 9]], [10, 10]).harmonic_accuracy == 0


def test_the_best_five_have_a_curve_of_their_own() -> None:
    result = summary([[5], [1, 5]], [10, 10], top5=[[10], [6, 10]])
    assert result.curve_top5 == pytest.approx((1.0, 0.8))
    assert (result.average_top5, result.last_top5) == pytest.approx((0.9, 0.8))
    assert result.average_accuracy == pytest.approx(0.4)


def test_what_has_not_arrived_has_no_accuracy() -> None:
    accuracy = AccuracyMatrix([[9], [5, 8]], [10, 10]).accuracy
    assert math.isnan(accuracy[0, 1])
    assert accuracy[1].tolist() == [0.5, 0.8]


@pytest.mark.parametrize(
    ("tasks", "images"),
    [(200, 1), (100, 2), (2, 100)],
    ids=["increments of one class", "200 classes in pairs", "halves"],
)
def test_finetuning_that_knows_only_the_newest_task_forgets_everything(tasks: int, images: int) -> None:
    rows = [[0] * t + [images] for t in range(tasks)]
    result = summary(rows, [images] * tasks)
    assert result.last_accuracy == pytest.approx(1 / tasks)
    assert result.average_accuracy == pytest.approx(sum(1 / (t + 1) for t in range(tasks)) / tasks)
    assert (result.forgetting, result.backward_transfer) == (1.0, -1.0)


# ---------------------------------------------------------------------- for any matrix


@given(matrices())
def test_every_number_lies_where_it_can(given_: tuple[Rows, list[int]]) -> None:
    result = summary(*given_)
    shares = (
        result.average_accuracy,
        result.last_accuracy,
        result.new_accuracy,
        result.average_top5,
        *result.curve,
    )
    assert all(0 <= share <= 1 for share in shares)
    assert min(result.curve) - 1e-12 <= result.average_accuracy <= max(result.curve) + 1e-12
    assert result.last_accuracy == result.curve[-1]
    assert len(result.curve) == len(given_[1])


@given(matrices(fewest=2))
def test_backward_transfer_never_falls_below_the_negative_of_forgetting(
    given_: tuple[Rows, list[int]],
) -> None:
    result = summary(*given_)
    assert result.forgetting is not None
    assert result.backward_transfer is not None
    assert result.backward_transfer >= -result.forgetting - 1e-12
    assert result.forgetting_clipped is not None
    assert result.forgetting_clipped >= max(0.0, result.forgetting) - 1e-12


@given(matrices(fewest=2))
def test_clipped_forgetting_is_the_one_that_counts_the_last_task_among_the_best(
    given_: tuple[Rows, list[int]],
) -> None:
    rows, totals = given_
    last = len(totals) - 1
    terms = [
        max(rows[t][j] for t in range(j, last + 1)) / totals[j] - rows[last][j] / totals[j]
        for j in range(last)
    ]
    assert summary(rows, totals).forgetting_clipped == pytest.approx(sum(terms) / last, abs=1e-12)


@given(matrices(fewest=2))
def test_forgetting_follows_its_definition(given_: tuple[Rows, list[int]]) -> None:
    rows, totals = given_
    last = len(totals) - 1
    terms = [(max(rows[t][j] for t in range(j, last)) - rows[last][j]) / totals[j] for j in range(last)]
    assert summary(rows, totals).forgetting == pytest.approx(sum(terms) / last, abs=1e-12)


@given(matrices(fewest=2))
def test_old_and_new_together_are_all(given_: tuple[Rows, list[int]]) -> None:
    rows, totals = given_
    result = summary(rows, totals)
    old, all_ = sum(totals[:-1]), sum(totals)
    assert result.old_accuracy is not None
    assert result.last_accuracy == pytest.approx(
        (result.old_accuracy * old + result.new_accuracy * totals[-1]) / all_
    )
    assert result.harmonic_accuracy is not None
    assert (
        min(result.old_accuracy, result.new_accuracy) - 1e-12
        <= result.harmonic_accuracy
        <= max(result.old_accuracy, result.new_accuracy) + 1e-12
    )


@given(matrices(), st.integers(2, 5))
def test_showing_every_test_image_several_times_changes_nothing(
    given_: tuple[Rows, list[int]], times: int
) -> None:
    rows, totals = given_
    once, often = (
        summary(rows, totals),
        summary([[times * count for count in row] for row in rows], [times * total for total in totals]),
    )
    curves = {"curve", "curve_top5", "curve_new"}
    assert often.model_dump(exclude=curves) == pytest.approx(once.model_dump(exclude=curves))


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("rows", "totals"),
    [
        ([], []),
        ([[1], [1]], [1, 1]),
        ([[1, 1]], [1]),
        ([[1]], [1, 1]),
        ([[2]], [1]),
        ([[-1]], [1]),
        ([[0]], [0]),
        ([[1], [1, 2]], [1, 1]),
    ],
)
def test_counts_that_form_no_matrix_are_refused(rows: Rows, totals: list[int]) -> None:
    with pytest.raises(ValueError, match=r"tasks need rows|correct predictions"):
        summary(rows, totals)


def test_a_matrix_of_fractions_gives_the_numbers_of_the_counts_it_comes_from() -> None:
    rows, images = [[45], [40, 9], [30, 10, 5]], [50, 10, 10]
    fractions = [[count / total for count, total in zip(row, images, strict=False)] for row in rows]
    counted, reported = AccuracyMatrix(rows, images), AccuracyMatrix.from_accuracies(fractions, [10, 2, 2])
    assert reported.curve == pytest.approx(counted.curve)
    assert reported.forgetting() == pytest.approx(((0.9 - 0.6) + (0.9 - 1.0)) / 2)


@pytest.mark.parametrize("rows", [[], [[0.5, 0.5]], [[0.5], [0.5, 0.5, 0.5]], [[1.1], [0.5, 0.5]]])
def test_fractions_that_form_no_matrix_are_refused(rows: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"2 tasks need rows of 1 … 2|correct predictions"):
        AccuracyMatrix.from_accuracies(rows, [1, 1])


def test_the_table_of_metrics_has_every_number_of_a_summary() -> None:
    in_summary = {metric.name for metric in METRICS if metric.in_summary}
    assert in_summary == {name for name in Summary.model_fields if not name.startswith("curve")}


def test_the_table_of_metrics_says_which_numbers_a_run_of_one_task_lacks() -> None:
    lacking = {name for name, value in summary([[7]], [10]).model_dump().items() if value is None}
    assert lacking == {metric.name for metric in METRICS if metric.undefined and metric.in_summary}


def test_intransigence_is_what_joint_training_knows_better_of_each_new_task() -> None:
    assert intransigence([0.9, 0.8, 0.7], [0.9, 0.75, 0.8]) == pytest.approx(
        ((0.8 - 0.75) + (0.7 - 0.8)) / 2
    )  # the first task does not count
    assert intransigence([0.9], [0.8]) is None
    assert summary([[9], [5, 8], [6, 7, 9]], [10, 10, 10]).curve_new == (0.9, 0.8, 0.9)
    with pytest.raises(ValueError, match="2 tasks of joint training cannot be a reference for 1"):
        intransigence([0.9, 0.8], [0.9])


def test_equal_counts_have_equal_digests() -> None:
    rows = [{"linear": {"correct": [1, 2]}, "nme": {"correct": [3]}}]
    assert matrix_digest(rows) == matrix_digest([{"nme": {"correct": [3]}, "linear": {"correct": [1, 2]}}])
    assert matrix_digest(rows) != matrix_digest([{"linear": {"correct": [1, 3]}, "nme": {"correct": [3]}}])
