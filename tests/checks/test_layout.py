"""Tables in columns lose no word, whatever is in their cells, and fit where words allow it."""

from hypothesis import given
from hypothesis import strategies as st

from wildmiddle.checks.layout import MARKDOWN, TERMINAL, WIDTH, aligned_table

CELLS = st.text(st.sampled_from("ab−∞0. [],"), max_size=60)
TABLES = st.integers(1, 6).flatmap(
    lambda columns: st.lists(st.tuples(*[CELLS] * columns), min_size=1, max_size=6)
)


@given(TABLES, st.sets(st.integers(0, 5)))
def test_columns_are_apart_and_hold_all_of_their_cells(table, right) -> None:
    header, *rows = table
    lines = aligned_table(header, rows, right).split("\n")
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) >= len(table)
    assert not any(line.endswith(" ") for line in lines)
    shown, given_ = ("".join("".join(lines).split()), "".join("".join(map("".join, table)).split()))
    assert sorted(shown) == sorted(given_)


def test_a_long_cell_is_broken_beside_the_others() -> None:
    words = " ".join(["word"] * 30)
    header = ("what", "number", "last")
    rows = [(words, "1", "a"), ("short", "23", "b")]
    lines = aligned_table(header, rows, {1}).split("\n")
    at, last = lines[0].index("number") + len("number"), lines[0].index("last")
    assert lines[1][at - 1] == "1"
    assert [line[last:] for line in lines] == ["last", "a", "", "b"]
    assert lines[3][at - 2 : at] == "23"
    assert (lines[1] + lines[2]).count("word") == 30
    assert len(lines[0]) == WIDTH


def test_a_path_is_not_broken_in_a_paragraph() -> None:
    path = "/a-folder/" + "x" * 120
    assert path in TERMINAL.prose(f"Written: {path}, and more").split("\n")[1]
    assert MARKDOWN.prose("a [b]") == r"a \[b\]"
