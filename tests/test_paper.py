"""The paper's 59 rows: each has a card, and what was not tried says why."""

from __future__ import annotations

import pytest

from tests.paper import QUESTIONS, Row, main, rows

each_row = pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.number}")


def test_the_table_has_59_rows_in_order() -> None:
    assert [row.number for row in rows()] == list(range(1, 60))


@each_row
def test_what_was_not_tried_says_why(row: Row) -> None:
    answers = row.answers
    assert all(answers[earlier] for earlier in QUESTIONS[:1]) or row.told, (
        "no card, and paper.csv gives no reason"
    )
    assert all(answers.values()) or row.reason


@each_row
def test_a_reason_that_no_longer_holds_is_removed(row: Row) -> None:
    assert not (row.told and all(row.answers.values())), (
        f"all was tried, but paper.csv says {row.told!r}"
    )


@each_row
def test_each_step_stands_on_the_one_before(row: Row) -> None:
    answers = [row.answers[question] for question in QUESTIONS]
    assert answers == sorted(answers, reverse=True)


def test_the_totals_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    said = capsys.readouterr().out.splitlines()
    counts = [sum(row.answers[question] for row in rows()) for question in QUESTIONS]
    expected = ", ".join(
        f"{question} {count}" for question, count in zip(QUESTIONS, counts, strict=True)
    )
    assert said[-1] == f"of 59 rows: {expected}"
    assert said[-5].split()[:3] == ["59", "Random", "Baseline"]


def test_rows_that_a_publisher_opens_by_hand_are_counted_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main()
    gated, others = capsys.readouterr().out.splitlines()[-3:-1]
    assert gated.startswith("of 15 rows that a publisher opens by hand: card 15, ")
    assert others.startswith("of 44 other rows: card 44, ")
    assert [row.number for row in rows() if row.gated] == list(range(11, 26))
