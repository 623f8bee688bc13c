from agent.date_reader import parse_date
from agent.headers import date_writer
from agent.headers.date_writer import format_date


def test_a_date_is_written_as_rfc_1123_says():
    """R3428-T1.31, R3261-7.10: GMT, two digits each, days and months by their English names"""
    for unix, text in (
        (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (1289690940, b"Sat, 13 Nov 2010 23:29:00 GMT"),
        (951782399, b"Mon, 28 Feb 2000 23:59:59 GMT"),
        (951782400, b"Tue, 29 Feb 2000 00:00:00 GMT"),
        (1077926400, b"Sat, 28 Feb 2004 00:00:00 GMT"),
        (1735689599, b"Tue, 31 Dec 2024 23:59:59 GMT"),
        (2147483648, b"Tue, 19 Jan 2038 03:14:08 GMT"),
        (4102444800, b"Fri, 01 Jan 2100 00:00:00 GMT"),
        (4107542400, b"Mon, 01 Mar 2100 00:00:00 GMT"),
    ):
        assert format_date(unix) == text
        assert parse_date(text) == unix


def test_dates_survive_the_round_trip():
    """R3261-7.10: once every 11 days of 130 years, at odd times"""
    for unix in range(0, 4102444800, 999983):
        assert parse_date(format_date(unix)) == unix


def test_of_all_dates_that_were_written_one_is_remembered():
    """R3261-18-13: memory is bounded, however long a server runs"""
    for unix in range(100):
        format_date(unix)
    assert len(date_writer._latest) == 1


def test_a_leap_second_and_a_short_day_are_read():
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == 1483228800
    assert parse_date(b"Sat, 1 Nov 2010 23:29:00 GMT") == parse_date(b"Mon, 01 Nov 2010 23:29:00 GMT")


def test_what_is_no_date_is_none():
    """R3261-7.10: another zone, another form, out of range"""
    for text in (
        None,
        b"",
        b"13 Nov 2010 23:29:00 GMT",
        b"Sat, 13 Nov 2010 23:29:00 EST",
        b"Sat, 13 Nov 2010 23:29:00 +0000",
        b"Sat, 13 Nov 2010 23:29:00",
        b"Sat, 13 Nov 2010 24:00:00 GMT",
        b"Sat, 13 Nov 2010 23:60:00 GMT",
        b"Sat, 13 Nov 2010 23:29:61 GMT",
        b"Sat, 13 Nov 2010 23:29 GMT",
        b"Sat, 13 Nov 2010 3:29:00 GMT",
        b"Sat, 32 Nov 2010 23:29:00 GMT",
        b"Sat, 00 Nov 2010 23:29:00 GMT",
        b"Sat, -1 Nov 2010 23:29:00 GMT",
        b"Sun, 31 Feb 2010 23:29:00 GMT",
        b"Thu, 29 Feb 2001 23:29:00 GMT",
        b"Thu, 29 Feb 2100 23:29:00 GMT",
        b"Sat, 31 Apr 2010 23:29:00 GMT",
        b"Sat, xx Nov 2010 23:29:00 GMT",
        b"Sat, 13 Nov 20x0 23:29:00 GMT",
        b"Sat, 13 Nov 2010 2x:29:00 GMT",
        b"Sat, 13 Nov 2010 23:+9:00 GMT",
        b"Sat, 13 JanFeb 2010 23:29:00 GMT",
        b"Sat, 13 Nov 10000 23:29:00 GMT",
        b"Sat, 13 Nop 2010 23:29:00 GMT",
        b"Sat, 13 anF 2010 23:29:00 GMT",
        b"Sat, 13 11 2010 23:29:00 GMT",
        b"Sat, 13 Nov 1969 23:29:00 GMT",
        b"Sat, 13 Nov 99999999999999999999 23:29:00 GMT",
        b"Sat, 13-Nov-10 23:29:00 GMT",
        b"Sat Nov 13 23:29:00 2010",
        b"0",
        b"\xff\x00",
    ):
        assert parse_date(text) is None
