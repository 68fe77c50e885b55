"""The arithmetic and the table of `make bench`."""

from __future__ import annotations

import pytest

from scripts.bench.figures import Beside, Figure, percentile
from scripts.bench.machine import Machine
from scripts.bench.table import table


@pytest.mark.parametrize(
    ("samples", "share", "expected"),
    [([3.0], 0.95, 3.0), ([1.0, 3.0], 0.5, 2.0), ([3.0, 1.0, 2.0], 1.0, 3.0)],
)
def test_percentiles_are_interpolated(samples: list[float], share: float, expected: float) -> None:
    assert percentile(samples, share) == expected


def test_a_target_is_about_the_value_that_it_names() -> None:
    samples = [1.0] * 9 + [100.0]
    assert Figure("read", samples, at_most=2.0).missed() == []
    assert Figure("read", samples, at_most=2.0, held="p95").missed() == ["p95 55.45 > 2 ms"]


def test_a_ratio_has_a_target_of_its_own() -> None:
    within = Beside("docker run", [100.0], at_most=1.5)
    assert Figure("session", [149.0], beside=[within]).missed() == []
    assert Figure("session", [160.0], beside=[within]).missed() == [
        "1.60 x docker run, at most 1.5"
    ]


def test_a_counterpart_that_takes_nothing_has_no_ratio() -> None:
    figure = Figure("read", [1.0], beside=[Beside("nothing", [0.0], at_most=1.0)])
    assert figure.missed() == []
    assert figure.document()["beside"][0]["ratio"] is None


def test_the_table_marks_what_missed_and_shows_every_counterpart() -> None:
    figure = Figure("read", [1.0, 3.0], at_most=0.6)
    figure.beside = [Beside("docker exec", [400.0]), Beside("harness", [800.0])]
    met = Figure("grep", [11.0], beside=[Beside("rg", [10.0], at_most=1.2)])
    lines = table([figure, met]).splitlines()
    assert len(lines) == 5
    assert "MISSED" in lines[2]
    assert "1/200" in lines[2]
    assert "harness" in lines[3]
    assert "1/400" in lines[3]
    assert lines[4].endswith("ok")
    assert "1.10" in lines[4]


def test_a_busy_machine_is_said_to_be_one() -> None:
    assert "ratios" in Machine(2, 6.0, "6.1", "3.11").line()
    assert "ratios" not in Machine(2, 0.2, "6.1", "3.11").line()
