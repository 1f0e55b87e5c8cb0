"""Numbers as text: the same digits on pages, on the command line and in exports."""

from __future__ import annotations

import pytest

from api.pages import formats
from api.shared import numbers


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (numbers.percent(0.8712), "87.1"),
        (numbers.percent(-0.01, 2), "-1.00"),
        (numbers.percent_interval(0.5, (0.48, 0.52)), "50.0 ± 2.0"),
        (numbers.percent_interval(0.5, None, 2), "50.00"),
        (numbers.points(0.012), "+1.20"),
        (numbers.points(-0.012), "-1.20"),
        (numbers.points(0.0), "+0.00"),
        (numbers.p_value(0.000_4), "< 0.001"),
        (numbers.p_value(0.041_27), "0.0413"),
        (numbers.duration(4.21), "4.2 s"),
        (numbers.duration(200), "3 min 20 s"),
        (numbers.duration(18_600), "5 h 10 min"),
        (numbers.age(119), "119 s"),
        (numbers.age(180), "3 min"),
        (numbers.age(3 * 86_400), "3 d"),
    ],
)
def test_a_number_has_the_digits_of_its_kind(shown: str, text: str) -> None:
    assert shown == text


@pytest.mark.parametrize(
    "show", [numbers.percent, numbers.points, numbers.p_value, numbers.duration, numbers.age]
)
def test_a_missing_value_is_an_en_dash(show: object) -> None:
    assert callable(show)
    assert show(None) == numbers.MISSING


def test_pages_differ_from_the_command_line_in_the_minus_sign_only() -> None:
    assert formats.points(-0.012) == numbers.points(-0.012).replace("-", "−") == "−1.20"
    assert formats.percent(-0.01) == "−1.0"
