"""The desk's page in a browser: what a person sees and does there, and what a stranger can't.

The desk behind it is a fake one, so that each state can be had at once, but for the last test. No page of these tests
may ask anybody else, break the policy that the desk sends with it, or raise an error.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host_tools.fake_desk import FakeDesk, Thing, board, message, reply
from tests.interop.peers import free_port
from tests.sip_peer import Peer
from tests.tools import Tool

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
expect = sync_api.expect
expect.set_options(timeout=20_000)  # of a machine that does much else
_CHROMIUM = shutil.which("chromium")
_BOILER, _PUMP = "sip:boiler@example.org", "sip:pump@example.org"
_TOKEN = "a token of 32 characters or more"
_SIGNED = {"level": "signed", "by": _BOILER}
_STRANGE = (  # in every place where a stranger writes
    '"><img src=x onerror=alert(1)><script>alert(2)</script>',
    "javascript:alert(3)//<svg/onload=alert(4)>",
    "\u202egnp.exe\u202d \u2066acknowledged by anna\u2069 " + "w" * 300,
)

if _CHROMIUM is None:
    if os.environ.get("CI"):
        raise RuntimeError("chromium is missing: apt install chromium")
    pytest.skip("no chromium here: apt install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = playwright.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        yield found
        found.close()


@pytest.fixture
def desk() -> Iterator[FakeDesk]:
    fake = FakeDesk()
    one = message(7, _BOILER, "Burner 2 is over 95 °C", proof=_SIGNED, encrypted=True, display_name="Boiler house")
    fake.knows(one, message(5, _PUMP, "Water in the pit", acknowledged={"by": "bert", "at": time.time()}))
    fake.knows(board(_BOILER, open=1, last=one, proof=_SIGNED), board(_PUMP))
    fake.knows(board("sip:well@example.org", heard_s=1000), board("sip:gate@example.org", heard_s=9000))
    yield fake
    fake.close()


class Visitor:
    """A person with a browser of their own. What must never happen there is kept in `wrong`."""

    def __init__(self, browser: Any, url: str, **how: Any) -> None:
        how.setdefault("viewport", {"width": 1400, "height": 900})
        self.url = url
        self.context = browser.new_context(**how)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.wrong: list[str] = []
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda line: "Policy" in line.text and self.wrong.append(line.text))
        self.page.on("request", lambda request: request.url.startswith(url) or self.wrong.append(request.url))

    def goes(self, where: str = "#/boards") -> Any:
        """Go there, and return the page when the desk is live."""
        self.page.goto(self.url + where)
        expect(self.page.locator("#connection")).to_have_text("live")
        return self.page

    def card(self, number: int) -> Any:
        return self.page.locator(f'main section [data-item="{number}"], .messages-view [data-item="{number}"]')


@pytest.fixture
def visit(browser: Any, desk: FakeDesk) -> Iterator[Any]:
    visitors: list[Visitor] = []

    def come(**how: Any) -> Visitor:
        visitors.append(Visitor(browser, desk.url, **how))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.context.close()
    assert [wrong for visitor in visitors for wrong in visitor.wrong] == []


def _button(card: Any, name: str) -> Any:
    return card.get_by_role("button", name=name, exact=True)


def _check(page: Any, what: str) -> None:
    """See that axe finds nothing, light and dark, on a phone and a wide screen, and that nothing is wider than that."""
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    for width, scheme in ((1600, "light"), (360, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
        assert found.violations_count == 0, f"{what} {width} {scheme}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, what


def test_every_view_is_accessible(visit: Any, desk: FakeDesk) -> None:
    """WCAG 2.2 A and AA as far as axe can tell."""
    late = message(6, _PUMP, "x" * 2000, valid_until=int(time.time()) - 5, stale=True, priority="urgent", subject="Pit")
    late["replies"] = [
        reply(1, _PUMP, "status", 6, state="failed", status=403, reason="Forbidden", ended_at=time.time()),
        reply(2, _PUMP, "pump on", 6),
        reply(3, _PUMP, "pump on", 6, state="delivered", ended_at=time.time()),
    ]
    late["escalated"] = [{"to": "sip:night@example.org", "at": time.time(), "state": "delivered"}]
    desk.knows(late)
    visitor = visit()
    page = visitor.goes("#/boards")
    expect(page.locator(".card").first).to_be_visible()
    _check(page, "boards")
    page = visitor.goes("#/messages")
    _button(visitor.card(7), "Details").click()
    _button(visitor.card(7), "Reply").click()
    page.get_by_role("button", name="Acknowledge all").click()
    _check(page, "messages")
    page = visitor.goes("#/boards/sip%3Aboiler%40example.org")
    expect(page.locator(".plot svg")).to_have_count(4)
    _check(page, "board")
    page.get_by_role("button", name="Help and keys").click()
    _check(page, "help")


def test_boards_are_seen_at_a_glance(visit: Any) -> None:
    """What waits for a person is first, then what is silent; a state is a word and a shape; a name has its proof."""
    page = visit().goes()
    rows = page.locator(".board")
    expect(rows).to_contain_text(["boiler", "gate", "well", "pump"])
    expect(rows.nth(0)).to_contain_text("1 open")
    expect(rows.nth(0)).to_contain_text("signed")
    expect(rows.nth(0)).to_contain_text("43.2 kB")
    expect(rows.nth(0)).to_contain_text("-61 dBm")
    expect(rows.nth(1)).to_contain_text("gone: nothing for 2 h, expected every 5 min")
    expect(rows.nth(2)).to_contain_text("late: nothing for 16 min, expected every 5 min")
    expect(rows.nth(2).locator(".state .icon-late")).to_be_visible()
    expect(rows.nth(3)).to_contain_text("unproven name")
    page.get_by_role("button", name="Late 1").click()
    expect(rows).to_contain_text(["well"])
    page.get_by_role("button", name="All 4").click()
    page.get_by_label("Find a board").fill("95 °C")
    expect(rows).to_contain_text(["boiler"])


def test_time_alone_makes_a_board_late_and_a_message_expired(visit: Any, desk: FakeDesk) -> None:
    desk.knows(message(8, _PUMP, "Pit is full", valid_until=int(time.time()) + 300), board(_PUMP, every=60))
    visitor = visit()
    visitor.page.clock.install()
    page = visitor.goes("#/messages")
    expect(visitor.card(8)).not_to_contain_text("expired")
    page.clock.run_for(310_000)
    expect(visitor.card(8)).to_contain_text("no longer valid")
    page.keyboard.press("b")
    expect(page.locator(".board.late", has_text="pump")).to_contain_text("late: nothing for 5 min")


def test_proof_is_unmistakable(visit: Any, desk: FakeDesk) -> None:
    """The words differ, and a stranger's words can't look like ours."""
    desk.knows(
        message(8, _PUMP, "signed by boiler", proof={"level": "shared", "by": None}),
        message(9, _PUMP, "x", proof={"level": "login", "by": "pump"}),
        message(
            10, _BOILER, "y", expired=True, stale=True, marks=["signature bad: no key"], display_name="signed by boiler"
        ),
    )
    visitor = visit()
    visitor.goes("#/messages")
    expect(visitor.card(7).locator(".badge.signed")).to_have_text("signed by boiler@example.org")
    expect(visitor.card(7).locator(".badge.encrypted")).to_have_text("encrypted")
    expect(visitor.card(8).locator(".badge.proof")).to_have_text("by a shared key")
    expect(visitor.card(9).locator(".badge.proof")).to_have_text("logged in as pump")
    forged = visitor.card(10)
    expect(forged.locator(".badge.proof")).to_have_text("anybody can have written this name")
    expect(forged.locator(".badge.bad")).to_have_text(
        ["expired before it came", "stale: sent long before it came", "signature bad: no key"]
    )
    expect(forged.locator(".says")).to_have_text("calls itself signed by boiler")


def test_two_people_see_each_others_acknowledgement(visit: Any, desk: FakeDesk) -> None:
    """A double click sends once."""
    anna, bert = visit(), visit()
    anna.goes("#/messages")
    bert.goes("#/messages")
    expect(bert.card(7)).to_contain_text("open")
    desk.delay_s = 0.2
    _button(anna.card(7), "Acknowledge").dblclick()
    for person in (anna, bert):
        expect(person.card(7).locator(".acknowledged")).to_contain_text("acknowledged by anna at")
        expect(_button(person.card(7), "Acknowledge")).to_be_hidden()
    assert desk.posted == [("/api/messages/7/acknowledgement", {"tell_board": False})]


def test_all_that_a_list_shows_is_acknowledged_at_once_and_nothing_that_comes_meanwhile(
    visit: Any, desk: FakeDesk
) -> None:
    desk.knows(message(8, _BOILER, "Burner 1"), message(9, _PUMP, "Water again"))
    anna, bert = visit(), visit()
    page = anna.goes("#/messages?open=1")
    bert.goes("#/messages")
    every = page.get_by_role("button", name="Acknowledge all 3 open ones below")
    every.click()
    expect(page.locator(".batch")).to_contain_text("3 messages of 2 boards: has somebody seen to all?")
    page.keyboard.press("Escape")
    expect(every).to_be_focused()
    every.click()
    desk.tell("message", message(10, _PUMP, "Water still"))
    expect(anna.card(10)).to_be_visible()
    page.keyboard.press("Enter")
    for number in (7, 8, 9):
        expect(bert.card(number)).to_contain_text("acknowledged by anna at")
    expect(page.locator(".batch")).to_be_hidden()  # one is left
    expect(page.locator("#announcer")).to_have_text("3 messages acknowledged")
    assert desk.posted == [("/api/acknowledgements", {"messages": [9, 8, 7]})] and desk.messages[10]["open"]


def test_board_can_be_told_and_a_refusal_stays_beside_its_button(visit: Any, desk: FakeDesk) -> None:
    visitor = visit()
    visitor.goes("#/messages")
    desk.refuse = (409, {"error": "the store is full: make room"})
    tell = _button(visitor.card(7), "and tell the board")
    tell.click()
    expect(visitor.card(7).locator(".actions .error").last).to_have_text("the store is full: make room")
    tell.click()
    expect(visitor.card(7)).to_contain_text("acknowledged by anna")
    assert [told for _, told in desk.posted] == [{"tell_board": True}] * 2


def test_reply_is_followed_to_the_board(visit: Any, desk: FakeDesk) -> None:
    """What was typed stays until the desk says that it has it, and goes out once, however often that gets lost.

    Then its state is told, also to somebody who looks at the board.
    """
    anna, bert = visit(), visit()
    page = anna.goes("#/messages")
    bert.goes("#/messages/7")
    _button(anna.card(7), "Reply").click()
    page.get_by_label("Reply to boiler@example.org").fill("valve off")
    page.get_by_label("Valid for").select_option("5 minutes")
    anna.context.route("**/replies", lambda route: (route.fetch(), route.abort()))
    _button(anna.card(7), "Send").click()
    expect(anna.card(7).locator(".writing .error")).to_contain_text("Try again: it is done once")
    expect(page.get_by_label("Reply to boiler@example.org")).to_have_value("valve off")
    anna.context.unroute("**/replies")
    _button(anna.card(7), "Send").click()
    expect(anna.card(7).locator(".reply")).to_contain_text("waits for the board")
    assert desk.posted == [("/api/messages/7/replies", {"text": "valve off", "expires_s": 300})] * 2
    assert len(desk.written) == 1 and len(next(iter(desk.written))) > 20
    sent = reply(1, _BOILER, "valve off", 7)
    desk.tell("reply", {**sent, "state": "delivered", "status": 200, "ended_at": time.time()})
    for person in (anna, bert):
        expect(person.card(7).locator(".reply")).to_contain_text("reached the board at ")
    passed = {**reply(3, "sip:night@example.org", "x", 7), "kind": "escalation"}
    desk.tell("reply", passed)
    desk.tell("reply", {**passed, "state": "delivered"})
    expect(anna.card(7).locator(".done")).to_contain_text("passed on to sip:night@example.org")
    expect(anna.card(7).locator(".done p", has_text="delivered")).to_have_count(1)
    expect(anna.card(7).locator(".reply")).to_have_count(1)
    desk.tell("reply", {**reply(2, _BOILER, "x", 7), "state": "failed", "status": 480, "reason": "Asleep"})
    expect(anna.card(7).locator(".reply").last).to_contain_text("failed: 480 Asleep")


def test_board_has_its_facts_charts_and_words_to_it(visit: Any, desk: FakeDesk) -> None:
    visitor = visit()
    page = visitor.goes()
    page.get_by_role("link", name="boiler").first.click()
    expect(page.locator("h1")).to_have_text("boiler@example.org")
    expect(page.locator(".threshold")).to_contain_text("alive: heard")
    expect(page.locator(".tiles")).to_contain_text("by NTP")
    charts = page.locator(".plot svg")
    expect(charts).to_have_count(4)
    assert "lowest" in charts.first.get_attribute("aria-label")
    page.locator(".chart summary").first.click()
    expect(page.locator("table td", has_text="kB").first).to_be_visible()
    unproved = {"level": "none", "by": None}
    for known, told in (
        ({"proof": unproved}, "where it was heard last; nothing proves that it was this board."),
        ({"proof": unproved, "heard_by": "registration"}, "where it has registered."),
        ({"proof": _SIGNED}, "where it was heard last, signed by boiler@example.org."),
    ):
        desk.tell("board", board(_BOILER, **known))
        leads = f"Goes where its address leads or, if that is nowhere, to 192.0.2.9:5060 by UDP, {told}"
        expect(page.get_by_label("Write to boiler")).to_have_accessible_description(leads)
    desk.tell("board", board(_BOILER, source="", transport="serial", heard_by="log"))
    leads = "Goes where its address leads: nothing has come from it but what a monitor has told."
    expect(page.get_by_label("Write to boiler")).to_have_accessible_description(leads)
    page.get_by_label("Write to boiler").fill("status")
    page.get_by_label("Write to boiler").press("Control+Enter")
    expect(page.locator(".write .reply")).to_contain_text("waits for the board")
    desk.tell("reply", reply(1, _BOILER, "status", None, state="delivered", ended_at=time.time(), answered=5))
    page.reload()
    expect(page.locator(".write .reply")).to_contain_text("reached the board at ")
    page.get_by_role("link", name="the answer to it").click()
    expect(page.locator(".card")).to_contain_text("Water in the pit")
    assert desk.posted == [("/api/boards/sip:boiler@example.org/messages", {"text": "status", "expires_s": 3600})]
    desk.knows(message(11, "sip:boiler@192.0.2.9", "not known as a board"))
    visitor.goes("#/messages")
    _button(visitor.card(11), "Reply").click()
    where = visitor.card(11).locator(".where")
    expect(where).to_have_text(
        "Goes to 192.0.2.9:5060 by UDP, where it was heard last; nothing proves that it was this board."
    )
    desk.session.update(guided=True)
    page.reload()
    _button(visitor.card(11), "Reply").click()
    expect(where).to_contain_text("Goes to the desk's own server, which passes it on")


def test_what_a_board_logs_on_its_cable_is_seen_as_it_comes(visit: Any, desk: FakeDesk) -> None:
    """Plain words, whatever is in them; a log that is empty is folded; a board of a cable alone is nowhere"""

    def record(level: str, event: str, **fields: Any) -> Thing:
        return {"at": time.time(), "level": level, "event": event, "fields": fields}

    desk.knows(board(_PUMP, heard_by="log", source="", transport="serial"))
    visitor = visit()
    page = visitor.goes("#/boards/sip%3Apump%40example.org")
    expect(page.locator(".tiles")).to_contain_text("by its log")
    expect(page.locator(".tiles .from")).to_have_text("unknown")
    expect(page.locator(".log .hint")).to_contain_text("Nobody has told of it")
    expect(page.locator(".log .hint")).to_be_hidden()
    desk.records = [record("error", strange, **{strange: [strange, None]}) for strange in _STRANGE]
    desk.records += [record("warning", "wifi_failed", ssid="cellar", tries=3), record("info", "boot")]
    desk.tell("board", desk.boards[_PUMP])
    rows = page.locator(".records li")
    expect(rows).to_have_count(5)
    expect(rows.nth(3)).to_contain_text('warningwifi_failedssid="cellar" tries=3')
    expect(rows.nth(0).locator(".event")).to_have_text(_STRANGE[0])
    expect(rows.nth(4)).to_be_visible()
    _check(page, "log")


def test_who_is_not_logged_in_is_told_why_and_how(visit: Any, desk: FakeDesk) -> None:
    desk.session.update(user=None, may_act=False)
    visitor = visit()
    page = visitor.goes("#/messages")
    expect(_button(visitor.card(7), "Acknowledge")).to_be_hidden()
    _button(visitor.card(7), "Log in to answer").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("anna")
    for refusal, told in (
        ((401, {"error": "wrong name or password"}), "wrong name or password"),
        ((429, {"error": "too many tries", "retry_s": 12}), "too many tries: try again in 12 s"),
    ):
        desk.refuse = refusal
        dialog.get_by_label("Password", exact=True).fill("secret")
        _button(dialog, "Log in").click()
        expect(dialog.locator(".error")).to_have_text(told)
    _check(page, "login")
    _button(dialog, "Log in").click()
    expect(dialog).to_have_count(0)
    expect(_button(visitor.card(7), "Acknowledge")).to_be_visible()
    _button(page, "Log out").click()
    expect(page.locator("#who")).to_contain_text("read only")
    desk.session.update(login=[])
    page = visitor.goes("#/boards/sip%3Aboiler%40example.org")
    page.reload()
    expect(page.locator(".write")).to_contain_text("have whoever runs this desk give it users or a token")


def test_desk_that_only_its_people_may_read_asks_first(visit: Any, desk: FakeDesk) -> None:
    desk.session.update(user=None, may_act=False, may_read=False, login=["token"])
    visitor = visit()
    visitor.page.goto(desk.url)
    page = visitor.page
    page.get_by_role("button", name="log in", exact=True).click()
    page.get_by_role("dialog").get_by_label("Token").fill("t0ken")
    _button(page.get_by_role("dialog"), "Log in").click()
    expect(page.locator(".board")).to_have_count(4)


def test_strangers_words_stay_words(visit: Any, desk: FakeDesk) -> None:
    """In each place that somebody can write from outside; the fixture sees dialogs, requests and broken policy."""
    for number, strange in enumerate(_STRANGE, 20):
        said = dict.fromkeys(("display_name", "subject", "priority", "user", "source", "transport"), strange)
        said |= dict.fromkeys(("to", "call_id", "content_type"), strange)
        one = message(number, f"sip:{strange}", strange, marks=[strange], **said)
        one["proof"] = {"level": "none", "by": strange}
        one["signature"] = {"state": strange, "signer": strange}
        one["escalated"] = [{"to": strange, "at": time.time(), "state": strange}]
        one["replies"] = [reply(number, strange, strange, number, state="failed", reason=strange, by=strange)]
        desk.knows(one, board(f"sip:{strange}", last=one, clock=strange, source=strange, heard_by=strange, open=1))
    visitor = visit(viewport={"width": 360, "height": 800})
    page = visitor.goes("#/messages")
    for number, strange in enumerate(_STRANGE, 20):
        card = visitor.card(number)
        expect(card.locator(".body").first).to_have_text(strange, use_inner_text=True)
        expect(card.locator(".badge.proof")).to_have_text("anybody can have written this name")
        expect(card.locator(".acknowledged")).to_have_count(0)
        _button(card, "Details").click()
        card.locator("h3 a").click()
        expect(page.locator("h1")).to_have_text(strange, use_inner_text=True)
        expect(page.locator(".tiles")).to_contain_text(strange[:20])
        page.go_back()
    visitor.goes("#/boards")
    expect(page.locator(".board")).to_have_count(7)
    desk.tell("message", message(40, _PUMP, _STRANGE[0]))
    expect(page.locator("#announcer")).to_contain_text(_STRANGE[0])
    assert page.locator("main img, main script, [onerror], [onload]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_desk_that_was_away_is_caught_up_with(visit: Any, desk: FakeDesk) -> None:
    """The page says since when it knows nothing; then nothing is missing or doubled, also what came meanwhile."""
    visitor = visit()
    visitor.page.clock.install()
    page = visitor.goes("#/messages")
    desk.tell("message", message(11, _PUMP, "eleven", ago_s=0))
    expect(visitor.card(11)).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("New message of pump: eleven")
    desk.stop()
    expect(page.locator("#connection")).to_have_text("reconnecting")
    page.clock.run_for(15_000)
    expect(page.locator("#connection")).to_contain_text("stale since")
    expect(page.locator("#notice")).to_contain_text("the desk doesn't answer")
    desk.events += [("message", message(number, _PUMP, f"number {number}")) for number in range(12, 40)]
    desk.knows(*(thing for _, thing in desk.events))
    desk.again()
    for _ in range(20):
        page.clock.run_for(1000)
        if page.locator("#connection").inner_text() == "live":
            break
    expect(page.locator("#connection")).to_have_text("live")
    numbers = [str(number) for number in (*range(39, 10, -1), 7, 5)]
    expect(page.locator(".card")).to_have_count(len(numbers))
    assert page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.item)") == numbers
    expect(page.locator("#notice")).to_be_hidden()
    desk.knows(message(50, _PUMP, "fifty"))
    desk.tell("reset", {})
    expect(visitor.card(50)).to_be_visible()
    expect(page.locator(".card")).to_have_count(len(numbers) + 1)


def test_search_goes_on_where_it_stopped(visit: Any, desk: FakeDesk) -> None:
    desk.searched = False
    visitor = visit()
    page = visitor.goes("#/messages")
    page.keyboard.press("/")
    page.keyboard.type("burner")
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".end")).to_have_text("Searched back to number 1.")
    desk.tell("message", message(12, _PUMP, "burner 3", ago_s=0))
    page.get_by_role("button", name="1 message came since: search again").click()
    expect(visitor.card(12)).to_be_visible()
    page.get_by_role("button", name="Go on searching").click()
    expect(page.get_by_role("button", name="Go on searching")).to_be_hidden()


def test_history_is_paged(visit: Any, desk: FakeDesk) -> None:
    desk.knows(*(message(number, _PUMP, f"number {number}") for number in range(100, 180)))
    page = visit().goes("#/messages?board=" + _PUMP)
    expect(page.locator(".card")).to_have_count(50)
    page.get_by_role("button", name="Older messages").click()
    expect(page.locator(".card")).to_have_count(81)
    expect(page.locator(".end")).to_have_text("81 messages, that is all.")


def test_keys_do_what_the_help_says(visit: Any, desk: FakeDesk) -> None:
    """Single keys can be turned off (WCAG 2.1.4)."""
    page = visit().goes()
    page.keyboard.press("m")
    expect(page.locator("h1")).to_have_text("Messages")
    expect(page.locator(".card")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".facts")).to_be_visible()
    page.keyboard.press("r")
    page.keyboard.type("j k a")
    page.keyboard.press("Escape")
    expect(page.locator(".writing")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.locator(".card").first).to_contain_text("acknowledged by anna")
    page.keyboard.press("b")
    expect(page.locator(".board")).to_have_count(4)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("gate@example.org")
    page.keyboard.press("Escape")
    expect(page.locator("a:focus")).to_contain_text("gate")
    page.keyboard.press("?")
    page.get_by_label("listen to single keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    expect(page.locator("h1")).to_have_text("Boards")
    assert [told for _, told in desk.posted] == [{"tell_board": False}]


def test_thousand_boards_and_a_storm_of_messages_are_shown(visit: Any, desk: FakeDesk) -> None:
    desk.knows(*(board(f"sip:b{number:04}@example.org") for number in range(1000)))
    page = visit().goes()
    expect(page.locator(".board")).to_have_count(1000)
    page.get_by_label("Find a board").fill("b0999")
    expect(page.locator(".board")).to_have_count(1)
    page.get_by_label("Find a board").fill("")
    for number in range(250):
        storm: Thing = message(100 + number, f"sip:b{number:04}@example.org", f"alarm {number}", ago_s=0)
        desk.knows(storm)
        desk.events.append(("message", storm))
        of: Thing = board(storm["from"], open=1, last=storm)
        desk.knows(of)
        desk.events.append(("board", of))
    desk.tell("board", board("sip:b0999@example.org", open=1))
    expect(page.locator("#open-count")).to_have_text("252 open")
    expect(page.locator(".board.has-open")).to_have_count(252)
    expect(page.locator("aside .card")).to_have_count(50)
    desk.tell("forgotten", {"boards": ["sip:b0999@example.org"]})
    expect(page.locator(".board.has-open")).to_have_count(251)
    desk.tell("counts", {"open": 253})
    expect(page.locator("#open-count")).to_have_text("253 open")
    expect(page.locator("aside .card").first).to_contain_text("alarm 249")
    at_once = message(900, _PUMP, "seen at once", ago_s=0)
    desk.events.append(("message", at_once))
    desk.tell("acknowledgement", {"message": 900, "by": "bert", "at": time.time()})
    expect(page.locator("aside .card").first).to_contain_text("acknowledged by bert")


def test_colours_are_chosen_and_kept(visit: Any) -> None:
    page = visit(color_scheme="light").goes()
    button = page.get_by_role("button", name="Colours:")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    button.click()
    assert page.evaluate(colour) == light
    button.click()
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    assert page.evaluate(colour) == dark


def _inbox(folder: Path, http: int) -> Tool:
    (folder / "token").write_text(_TOKEN)
    (folder / "token").chmod(0o600)
    bind = ("--bind", "udp:127.0.0.1:0", "--db", str(folder / "inbox.db"))
    return Tool("inbox", *bind, "--http", f"127.0.0.1:{http}", "--http-token", str(folder / "token"))


def _log_in(page: Any) -> None:
    _button(page.locator("#who"), "Log in").click()
    page.get_by_role("dialog").get_by_label("Token").fill(_TOKEN)
    _button(page.get_by_role("dialog"), "Log in").click()


def test_alert_is_answered_from_the_page_and_nothing_is_lost_when_the_inbox_is_killed(
    browser: Any, tmp_path: Path
) -> None:
    """With a real inbox, whose answer to the first click gets lost: the board is told once."""
    http = free_port()
    with Peer(_BOILER.encode()) as board, _inbox(tmp_path, http) as inbox:
        port = int(inbox.wait_for(event="ready")["bind"][0].rpartition(":")[2])
        visitor = Visitor(browser, inbox.wait_for(event="page")["url"])
        page = visitor.goes()
        expect(page.locator(".empty").first).to_contain_text("No board was heard yet")
        assert board.ask(port, b"text/plain", b"Burner 2 is over 95 C", b"Expires: 3600\r\n").status == 200
        expect(page.locator(".board")).to_contain_text("boiler@example.org")
        beat = b"every=300 free=43210 rssi=-61 clock=ntp waiting=0"
        assert board.ask(port, b"application/vnd.sipmote.heartbeat", beat).status == 200
        expect(page.locator(".board")).to_contain_text("43.2 kB")
        expect(page.locator("#open-count")).to_have_text("1 open")

        page.keyboard.press("m")
        expect(visitor.card(1)).to_contain_text("anybody can have written this name")
        _log_in(page)
        _button(visitor.card(1), "Reply").click()
        page.get_by_label("Reply to boiler@example.org").fill("valve off")
        page.route("**/replies", lambda route: (route.fetch(), route.abort()), times=1)
        _button(visitor.card(1), "Send").click()
        asked = board.answer(200)
        assert asked.body == b"valve off"
        expect(visitor.card(1).locator(".writing .error")).to_contain_text("Try again: it is done once")
        _button(visitor.card(1), "Send").click()
        expect(visitor.card(1).locator(".reply")).to_contain_text("reached the board at ")
        expect(visitor.card(1).locator(".reply")).to_have_count(1)
        expect(visitor.card(1)).to_contain_text("acknowledged by the token")
        named = b"In-Reply-To: %s\r\n" % (asked.get(b"call-id") or b"")
        board.ask(port, b"text/plain", b"Pressure falls", named)
        expect(visitor.card(2)).to_contain_text("an answer to what was written from here")

        os.kill(inbox.pid, signal.SIGKILL)
        inbox.wait()
        expect(page.locator("#connection")).not_to_have_text("live")
        with _inbox(tmp_path, http) as again:
            port = int(again.wait_for(event="ready")["bind"][0].rpartition(":")[2])
            for number in range(3, 6):
                assert board.ask(port, b"text/plain", b"number %d" % number).status == 200
            expect(page.locator("#connection")).to_have_text("live")
            expect(page.locator(".card")).to_have_count(5)
            shown = page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.item)")
            assert shown == ["5", "4", "3", "2", "1"]
            expect(page.locator("#who")).to_contain_text("read only")  # sessions end with the inbox
        visitor.context.close()
        assert visitor.wrong == []
