from agent.clock import later
from agent.request import ClientTransaction
from agent.uas.server_transaction import ServerTransaction
from tests.helpers import NOW, TCP, UDP

TRYING, PROCEEDING, COMPLETED, TERMINATED = range(4)
TIMER_E = [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]  # ms, RFC 3261 section 17.1.2.2


def client(flow):
    return ClientTransaction(None, flow, 1, b"Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1", b"MESSAGE", flow is UDP, NOW)


def repetitions(transaction, until_ms, since_ms=0):
    """Wake a client transaction just when it asks for it; return the times at which it repeats its request."""
    ms = since_ms
    times = []
    while transaction.state < COMPLETED:
        ms += transaction.wait_ms(later(NOW, ms))
        if ms > until_ms:
            break
        if transaction.wake(later(NOW, ms)):
            times.append(ms)
    return times, ms


def test_an_unanswered_request_is_repeated_on_timer_e_and_given_up_on_timer_f():
    """R3261-17.1-1, R3261-17.1-3: eleven sendings, the end at 32 s exactly"""
    transaction = client(UDP)
    assert repetitions(transaction, 99999) == (TIMER_E, 32000)
    assert transaction.state == TERMINATED


def test_on_a_stream_nothing_is_repeated_and_timer_f_is_the_same():
    """R3261-17.1-5, R3261-17.1-3: no Timer E"""
    transaction = client(TCP)
    assert repetitions(transaction, 99999) == ([], 32000)
    assert transaction.state == TERMINATED


def test_a_client_on_a_stream_that_wakes_for_another_reason_repeats_nothing():
    """R3261-17.1-5: at no time that Timer E would have fired"""
    transaction = client(TCP)
    for ms in TIMER_E:
        assert not transaction.wake(later(NOW, ms))
        assert transaction.wait_ms(later(NOW, ms)) == 32000 - ms
    assert transaction.state == TRYING


def test_waking_a_little_late_each_time_does_not_add_up():
    """R3261-17.1-1: the timetable is counted from the first sending, not from when we got round to it"""
    for late in (1, 30, 400):
        transaction = client(UDP)
        for i in range(len(TIMER_E)):
            assert not transaction.wake(later(NOW, TIMER_E[i] - 1))
            assert transaction.wake(later(NOW, TIMER_E[i] + late * (i % 2)))
        assert not transaction.wake(later(NOW, 31999))
        assert transaction.state == TRYING


def test_waking_just_before_the_next_repetition_keeps_the_timetable():
    """R3261-17.1-1: 999 ms late, the second repetition is due in one more"""
    transaction = client(UDP)
    assert transaction.wake(later(NOW, 1499))
    assert transaction.wait_ms(later(NOW, 1499)) == 1
    assert transaction.wake(later(NOW, 1500))


def test_after_a_provisional_response_timer_e_runs_at_t2():
    """R3261-17.1-2: 100 after 0.6 s; the Timer E that is running fires, then every 4 s; Timer F stays"""
    transaction = client(UDP)
    assert repetitions(transaction, 600) == ([500], 1500)
    assert not transaction.receive(100)
    assert transaction.state == PROCEEDING
    times, end = repetitions(transaction, 99999, 600)
    assert times == [1500, 5500, 9500, 13500, 17500, 21500, 25500, 29500]
    assert end == 32000


def test_a_final_response_ends_the_waiting():
    """R3261-17.1-4: in Trying and in Proceeding, whatever its class"""
    for status in (200, 202, 299, 302, 404, 503, 603):
        for provisional in (False, True):
            transaction = client(UDP)
            if provisional:
                assert not transaction.receive(199)
            assert transaction.receive(status)
            assert transaction.state == COMPLETED


def test_a_client_that_wakes_early_does_nothing():
    transaction = client(UDP)
    for ms in (0, 1, 499):
        assert not transaction.wake(later(NOW, ms))
        assert transaction.wait_ms(later(NOW, ms)) == 500 - ms
    assert transaction.state == TRYING


def test_a_client_that_wakes_late_repeats_once_and_not_in_a_burst():
    """R3261-17.1-1: a board that slept through five repetitions sends one"""
    transaction = client(UDP)
    assert transaction.wake(later(NOW, 1500))  # just when the next one is due as well
    assert transaction.wait_ms(later(NOW, 1500)) == 1000
    transaction = client(UDP)
    assert transaction.wake(later(NOW, 16000))
    assert not transaction.wake(later(NOW, 16000))
    assert transaction.wait_ms(later(NOW, 16000)) > 0
    assert not transaction.wake(later(NOW, 40000))
    assert transaction.state == TERMINATED
    assert transaction.wait_ms(later(NOW, 40000)) == 0


def test_a_server_waits_silently_until_there_is_a_response():
    """R3261-17.2-1: nothing to repeat in Trying"""
    transaction = ServerTransaction(False, UDP, NOW)
    assert transaction.response == b""
    assert not transaction.is_over(later(NOW, 31999))


def test_a_server_owes_a_100_when_timer_e_of_its_client_is_at_t2():
    """R4320-2, R4320-4: at 3.5 s, not before, and only without any response"""
    transaction = ServerTransaction(False, UDP, NOW)
    assert transaction.wait_ms(NOW) == 3500
    assert not transaction.owes_trying(later(NOW, 3499))
    assert transaction.owes_trying(later(NOW, 3500))
    transaction.respond(b"100", False, later(NOW, 3500))
    assert not transaction.owes_trying(later(NOW, 9999))
    assert transaction.response == b"100"  # R3261-17.2-2: what a repetition gets


def test_a_server_repeats_its_final_response_for_timer_j():
    """R3261-17.2-3: 32 s on UDP from the response on; a second final response is not taken"""
    transaction = ServerTransaction(False, UDP, NOW)
    assert transaction.respond(b"200", True, later(NOW, 1000))
    assert not transaction.respond(b"500", True, later(NOW, 2000))
    assert not transaction.respond(b"100", False, later(NOW, 2000))
    assert transaction.response == b"200"
    assert not transaction.is_over(later(NOW, 32999))
    assert transaction.is_over(later(NOW, 33000))


def test_on_a_stream_a_server_forgets_at_once():
    """R3261-17.2-3: Timer J is zero there"""
    transaction = ServerTransaction(True, UDP, NOW)
    transaction.respond(b"200", True, later(NOW, 1000))
    assert transaction.is_over(later(NOW, 1000))


def test_a_server_that_nobody_answers_for_ends_with_its_client():
    """R4320-5: without a 408"""
    for reliable in (False, True):
        transaction = ServerTransaction(reliable, UDP, NOW)
        transaction.respond(b"100", False, later(NOW, 3500))
        assert transaction.wait_ms(later(NOW, 3500)) == 28500
        assert not transaction.is_over(later(NOW, 31999))
        assert transaction.is_over(later(NOW, 32000))
