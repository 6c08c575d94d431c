from __future__ import annotations

from chaser_server.live.quality import DEFAULT_GRADE, Adaptation, Grade, wished

INTERVAL = 0.2


def after(adaptation: Adaptation, seconds: float, acks: int) -> Grade:
    for _ in range(acks):
        adaptation.arrived(seconds, INTERVAL)
    return adaptation.grade(DEFAULT_GRADE)


def on_a_line(bytes_per_second: float, acks: int) -> Grade:
    """What a viewer gets whose line carries so much, when a picture's size goes with its quality and area."""
    adaptation = Adaptation()
    for _ in range(acks):
        grade = adaptation.grade(DEFAULT_GRADE)
        adaptation.arrived(grade.quality * grade.scale**2 * 2000 / bytes_per_second, INTERVAL)
    return adaptation.grade(DEFAULT_GRADE)


def test_a_fast_viewer_keeps_what_it_wishes():
    assert after(Adaptation(), 0.02, 100) == DEFAULT_GRADE


def test_a_thin_line_gets_lower_quality_first_and_then_smaller_pictures():
    assert on_a_line(500_000, 8) == Grade(40, 1.0)
    assert on_a_line(250_000, 100).scale < 1
    assert on_a_line(50_000, 24) == Grade(25, 0.5)


def test_distance_alone_costs_no_quality():
    adaptation = Adaptation()
    grades = [after(adaptation, 0.6, 4) for _ in range(40)]
    assert grades.count(DEFAULT_GRADE) >= 34, "a step that did not help is taken back and rarely tried"


def test_one_late_picture_changes_nothing():
    adaptation = Adaptation()
    after(adaptation, 0.02, 3)
    assert after(adaptation, 5.0, 1) == DEFAULT_GRADE


def test_a_line_that_is_free_again_brings_the_quality_back():
    adaptation = Adaptation()
    after(adaptation, 0.6, 4)
    assert after(adaptation, 0.3, 4) != DEFAULT_GRADE
    assert after(adaptation, 0.01, 400) == DEFAULT_GRADE


def test_wishes_are_rounded_so_that_viewers_share_encodes():
    assert wished(72, 0.3, DEFAULT_GRADE) == wished(68, 0.2, DEFAULT_GRADE) == Grade(70, 0.25)
    assert wished(None, 0.5, Grade(95, 1.0)) == Grade(95, 0.5)
    assert Adaptation().grade(Grade(95, 1.0)) == Grade(95, 1.0)
