from tests.conformance.table import named

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
