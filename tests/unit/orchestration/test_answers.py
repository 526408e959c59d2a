"""Answers on a terminal: every width shows every value, numbers never fold, corpus text cannot steer the terminal."""

import io
import sys

import polars as pl
import pytest
from rich.console import Console

from orchestration.cli.answers import print_cells, write_answer

WIDE = pl.DataFrame(
    {
        "position": [15, 3],
        "token": ["some_rather_long_token_text", " x"],
        "continuation_nll_nats": [0.123, 12.75],
        "prefix_rarity_rank": [26, 18],
        "activation_gradient": [0.001234, 0.002],
    }
)


def printed(frame: pl.DataFrame, width: int) -> list[str]:
    out = io.StringIO()
    cells = [[str(value) for value in row] for row in frame.iter_rows()]
    print_cells(Console(file=out, width=width), frame, cells)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [36, 40, 60, 80, 120])
def test_no_width_loses_a_value_or_folds_a_number(width: int) -> None:
    lines = printed(WIDE, width)
    assert all(len(line) <= width for line in lines)
    for number in ("0.001234", "12.75", "26"):
        assert any(number in line.split() for line in lines)


def test_names_fold_at_underscores_before_rows_become_blocks() -> None:
    assert printed(WIDE, 120)[0].split() == WIDE.columns
    assert "row 1" not in printed(WIDE, 72) and "continuation_nll_nats" not in "\n".join(printed(WIDE, 72))
    blocks = printed(WIDE, 40)
    assert blocks[0].strip() == "row 1"
    first = blocks[1 : [line.strip() for line in blocks].index("row 2")]
    assert [line.split()[0] for line in first if not line.startswith(" ")] == WIDE.columns


def test_an_empty_answer_still_names_its_columns() -> None:
    assert printed(WIDE.clear(), 120)[0].split() == WIDE.columns


def test_piped_rows_stay_on_one_line_however_wide(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.DataFrame({f"a_column_with_a_long_name_{i}": ["text " * 10] for i in range(30)})
    write_answer([frame], "table", None)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_escape_sequences_of_the_corpus_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    write_answer([pl.DataFrame({"text": ["a\x1b[2J\x07b\r\x9bc\n"]})], "table", None)
    out = capsys.readouterr().out
    assert "a␛[2J␇b␍�c⏎" in out and "\x1b" not in out


def test_nested_values_of_any_kind_fit_into_csv(capfd: pytest.CaptureFixture[str]) -> None:
    import datetime
    from decimal import Decimal

    frame = pl.DataFrame({"a": [[Decimal("1.5")]], "b": [[datetime.date(2024, 5, 6)]]})
    write_answer([frame], "csv", None)
    sys.stdout.flush()
    assert capfd.readouterr().out.splitlines() == ["a,b", '[1.5],"[""2024-05-06""]"']
