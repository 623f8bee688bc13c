from agent.clock import later, until
from agent.qualities import HOST, LEARNED, NONE, NTP, RTC
from agent.wall_clock import WallClock
from tests.helpers import NOW


def test_a_deadline_after_the_wrap_is_still_ahead():
    assert later(NOW, 500) == NOW + 500
    assert later(NOW, 701) == 0
    assert later(NOW, 32000) == 32000 - 701
    assert until(later(NOW, 32000), NOW) == 32000


def test_a_deadline_before_the_wrap_has_passed_after_it():
    assert until(NOW, later(NOW, 1)) == -1
    assert until(NOW, later(NOW, 86400000)) == -86400000
    assert until(NOW, NOW) == 0


def test_instants_compare_for_six_days_either_way():
    for now in (0, 1, 0x1FFFFFFF, 0x20000000, 0x3FFFFFFF):
        for ms in (0, 1, 500, 0x1FFFFFFF):
            assert until(later(now, ms), now) == ms
            assert until(now, later(now, ms)) == -ms


def test_a_wall_clock_that_nobody_has_set_knows_nothing():
    clock = WallClock()
    assert clock.quality == NONE
    assert clock.unix(NOW) is None


def test_a_wall_clock_counts_on_across_the_wrap():
    clock = WallClock()
    assert clock.set(1000, LEARNED, NOW)
    for ms, unix in ((0, 1000), (999, 1000), (1000, 1001), (2500, 1002)):
        assert clock.unix(later(NOW, ms)) == unix


def test_a_wall_clock_that_is_asked_now_and_then_counts_for_months():
    clock = WallClock()
    clock.set(1000, RTC, NOW)
    day = 86400000
    now = NOW
    for days in range(5, 200, 5):
        now = later(now, 5 * day + 1)  # the odd millisecond must not get lost
        assert clock.unix(now) == 1000 + days * 86400 + days // 5 // 1000
    for _ in range(200 // 5, 1001):
        now = later(now, 5 * day + 1)
        unix = clock.unix(now)
    assert unix == 1000 + 1000 * 5 * 86400 + 1


def test_a_worse_source_does_not_set_a_wall_clock_again():
    clock = WallClock()
    for unix, quality, taken in ((1, RTC, True), (2, LEARNED, False), (3, NTP, True), (4, RTC, False), (5, NTP, True)):
        assert clock.set(unix, quality, NOW) == taken
    assert clock.unix(NOW) == 5
    assert clock.quality == NTP


def test_a_wall_clock_knows_when_it_was_told_for_as_long_as_it_counts():
    """R0-P20: its age; 0 where nobody knows"""
    clock = WallClock()
    assert clock.told == 0
    for quality, given, told in (
        (LEARNED, None, 1000),
        (RTC, 0, 0),
        (HOST, 400, 400),
        (LEARNED, None, 400),
        (NTP, None, 1000),
    ):
        clock.set(1000, quality, NOW, given)
        assert clock.told == told
    assert clock.unix(later(NOW, 5 * 86400000)) - clock.told == 5 * 86400
