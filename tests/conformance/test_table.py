import re
from typing import Any

import pytest

from tests.conformance import table
from tests.conformance.table import ID, coverage, docstrings, judge, named, problems, sections

KNOWN = ["R3862-1", "R3862-2", "R3862-3", "R3428-T1.20", "R3261-8.1-1"]
RULES = [(identifier, rule) for section in sections().values() for identifier, rule in section.items()]
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "may", "FACT"}
CODES = {"m", "m*", "t", "o", "c", "*", "-"}  # of RFC 3428's tables of header fields

ONE = ("tests/test_one.py", "test_that_it_holds")
TWO = ("tests/test_two.py", "test_that_it_holds_too")
MUST: dict[str, Any] = {"level": "MUST"}
PLANNED: dict[str, Any] = {"level": "MUST", "planned": True}
EXCUSED: dict[str, Any] = {"level": "MAY", "not_applicable": "no dialogs"}


def test_rules_are_named_at_the_beginning_of_a_docstring() -> None:
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


def test_the_table_has_its_rules_in_their_order() -> None:
    identifiers = [identifier for identifier, _ in RULES]
    assert len(identifiers) >= 269
    assert len(set(identifiers)) == len(identifiers), "an ID in two sections"
    assert (identifiers[0], identifiers[-1]) == ("R3428-1.1", "R0-P20")  # a range follows this order


def test_each_rule_is_well_formed() -> None:
    for identifier, rule in RULES:
        assert re.fullmatch(ID, identifier), identifier
        of_fields = "header" in rule
        keys = ["level", "header", "where", "proxy"] if of_fields else ["level", "binds", "rule"]
        assert list(rule)[: len(keys)] == keys, identifier
        assert set(rule) - set(keys) <= {"test", "not_applicable", "planned"}, identifier
        assert not {"planned", "not_applicable"} <= rule.keys(), identifier
        assert rule.get("planned", True) is True, identifier
        assert all(rule[key] for key in rule if key not in ("where", "proxy")), f"{identifier}: an empty key"
        level = rule["level"].split(" (")[0].split(" / ")[0]  # "MUST (SHALL)", "MAY / SHOULD"
        assert level in (CODES if of_fields else LEVELS), identifier


def test_each_id_in_a_docstring_of_a_test_is_a_rule_and_those_at_its_beginning_count() -> None:
    known = [identifier for identifier, _ in RULES]
    for test, of_all, own in docstrings():
        for docstring in (of_all, own):
            assert set(re.findall(rf"\b{ID}", docstring)) <= set(known), test
            if re.match(ID, docstring):
                counted = named(docstring, known)
                assert set(re.findall(rf"\b{ID}", docstring.split(": ")[0])) <= set(counted), test


def test_a_rule_and_its_tests_agree_as_the_tree_stands() -> None:
    assert list(problems(dict(RULES), coverage([identifier for identifier, _ in RULES]))) == []


@pytest.mark.parametrize(
    ("rule", "tests", "named_problem"),
    [
        (MUST, {"R1-1": [ONE]}, []),
        (PLANNED, {}, []),
        (EXCUSED, {}, []),
        (MUST, {}, ["R1-1 (MUST) has no test, and rules.toml doesn't say why"]),
        (PLANNED, {"R1-1": [ONE]}, ["R1-1 has a test: take planned out of rules.toml"]),
        (EXCUSED, {"R1-1": [ONE]}, ["R1-1 has a test: take not_applicable out of rules.toml"]),
        (PLANNED, {"R1-2": [ONE]}, ["tests/test_one.py test_that_it_holds: no rule is called R1-2"]),
    ],
)
def test_what_is_wrong_is_named(rule: dict[str, Any], tests: dict[str, Any], named_problem: list[str]) -> None:
    assert list(problems({"R1-1": rule}, tests)) == named_problem


def test_a_verdict_is_the_worst_of_the_tests_that_ran_on_either_interpreter() -> None:
    passed = {ONE: "passed", TWO: "passed"}
    both = "test_one: that it holds, test_two: that it holds too"
    for rule, tests, verdicts, expected in (
        (MUST, [ONE, TWO], passed, ("passed", both)),
        (MUST, [ONE, TWO], {**passed, TWO: "skipped"}, ("passed", both)),  # it wants a board, say
        (MUST, [ONE, TWO], {ONE: "skipped", TWO: "skipped"}, ("skipped", both)),
        (MUST, [ONE, TWO], {ONE: "failed", TWO: "skipped"}, ("failed", both)),
        (MUST, [ONE, TWO], {ONE: "passed"}, ("not run", both)),
        (MUST, [ONE, TWO], {**passed, ("tests/test_two.py", ""): "failed"}, ("failed", both)),  # on a VM
        (MUST, [ONE, TWO, ONE, TWO, TWO], passed, ("passed", both + ", test_one: that it holds and 2 more")),
        (MUST, [], {}, ("uncovered", "")),
        (PLANNED, [], {}, ("to come", "")),
        (EXCUSED, [], {}, ("not applicable", "no dialogs")),
    ):
        assert judge(rule, tests, verdicts) == expected


@pytest.mark.parametrize(
    ("rule", "tests", "verdicts", "code", "count"),
    [
        (MUST, {"R1-1": [ONE]}, {ONE: "passed"}, 0, "1 passed; 0 to come"),
        (PLANNED, {}, {}, 0, "; 1 to come"),
        (MUST, {"R1-1": [ONE]}, {ONE: "failed"}, 1, "1 failed; 0 to come"),
        (MUST, {"R1-1": [ONE]}, {}, 1, "1 not run; 0 to come"),
        (MUST, {}, {}, 1, "1 uncovered; 0 to come"),
        (PLANNED, {"R1-1": [ONE]}, {ONE: "passed"}, 1, "1 passed; 0 to come"),
        (PLANNED, {"R1-2": [ONE]}, {ONE: "passed"}, 1, "; 1 to come"),
    ],
)
def test_the_exit_code_says_whether_all_that_exists_passes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rule: dict[str, Any],
    tests: dict[str, Any],
    verdicts: dict[Any, str],
    code: int,
    count: str,
) -> None:
    monkeypatch.setattr(table, "sections", lambda: {"RFC 1": {"R1-1": rule}})
    monkeypatch.setattr(table, "coverage", lambda known: tests)
    monkeypatch.setattr(table, "run", lambda files: verdicts)
    assert table.main() == code
    assert count in capsys.readouterr().out.splitlines()
