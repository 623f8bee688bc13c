from tests.conformance.table import named, rows

KNOWN = ["R3862-1", "R3862-2", "R3862-3", "R3428-T1.20", "R3261-8.1-1"]


def test_rows_are_named_at_the_beginning_of_a_docstring() -> None:
    for docstring, expected in (
        ("R3428-T1.20: no Contact", ["R3428-T1.20"]),
        ("R3428-T1.20, R3261-8.1-1: see R3862-1: too", ["R3428-T1.20", "R3261-8.1-1"]),
        ("R3862-1", ["R3862-1"]),
        ("R3862-1..R3862-3: all", ["R3862-1", "R3862-2", "R3862-3"]),
        ("R3862-9: unknown, so that the table can say so", ["R3862-9"]),
        ("Whatever, R3862-1: no", []),
        ("", []),
        (None, []),
    ):
        assert named(docstring, KNOWN) == expected


def test_rows_come_in_their_order_with_the_level_of_their_table() -> None:
    text = """
| ID | Level | Binds | Rule | Test |
|---|---|---|---|---|
| R3428-2.1 | FACT | all | one `a \\| b` | - |
| R3428-1.1 | MUST (SHALL) | all | R3428-9.9 | - |

Prose about R3428-3.1 and | R3428-3.2 |.

| ID | Header | code |
|---|---|---|
| R3428-T1.1 | Accept | m* |

| ID | Rule |
|---|---|
| R3261-19-1 | compare |
"""
    assert list(rows(text).items()) == [
        ("R3428-2.1", "FACT"),
        ("R3428-1.1", "MUST (SHALL)"),
        ("R3428-T1.1", "m*"),
        ("R3261-19-1", ""),
    ]
