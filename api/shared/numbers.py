"""Results as text: fractions in per cent, differences in points, p values, durations.

Decisions:
    * Pages, the command line and exports show the same digits of the same value. Pages replace the
      hyphen-minus with a minus sign.
    * A missing value is an en dash, never an empty cell or a zero.
"""

from __future__ import annotations

MISSING = "–"

_HOUR = 3600
_AGES = (("d", 86_400), ("h", _HOUR), ("min", 60))


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in per cent without the sign: 0.8712 is 87.1, -0.01 is -1.0."""
    return MISSING if value is None else f"{100 * value:.{digits}f}"


def percent_interval(mean: float, interval: tuple[float, float] | None, digits: int = 1) -> str:
    """A mean in per cent, with half its 95 % interval if it has one: 87.1 ± 0.4."""
    shown = percent(mean, digits)
    return shown if interval is None else f"{shown} ± {percent((interval[1] - interval[0]) / 2, digits)}"


def points(value: float | None, digits: int = 2) -> str:
    """A difference of two fractions in percentage points, with its sign: 0.012 is +1.20."""
    return MISSING if value is None else f"{100 * value:+.{digits}f}"


def p_value(value: float | None) -> str:
    """A p value with three digits; small ones as `< 0.001`."""
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """Seconds for people: 4.2 s, 42 s, 3 min 20 s, 5 h 10 min."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def age(seconds: float | None) -> str:
    """A duration in its largest useful unit: 90 s, 3 min, 2 d."""
    if seconds is None:
        return MISSING
    unit, length = next(((unit, length) for unit, length in _AGES if seconds >= 2 * length), ("s", 1))
    return f"{seconds / length:.0f} {unit}"
