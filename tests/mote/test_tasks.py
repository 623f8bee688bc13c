"""No task of a board ends for good: what fails for want of memory is tried again, a bug is told and gone over.

Each test makes something fail on a VM that talks to itself, and expects to see the same task at work afterwards.
"""

import json
from pathlib import Path
from typing import Any

from tests.dns_server import closed_port
from tests.host_tools.peers import Peer
from tests.mote.running import running
from tests.vm import run_program

_BEGIN = """
import asyncio, json, os, socket, sys
from agent.events import Outcome
from agent.user_agent import UserAgent
from mote.net.bind import bind_udp
from mote.net.shell import Shell
from mote.net.sockets import now

port = int(sys.argv[1])
desk = bind_udp("127.0.0.1", port)
met = []
ua = UserAgent(b"sip:boiler@127.0.0.1", b"mote.invalid:5060", os.urandom)
shell = Shell(ua, met.append, {})
OPTIONS = (b"OPTIONS sip:boiler@127.0.0.1 SIP/2.0\\r\\nVia: SIP/2.0/%s 127.0.0.1:9;branch=z9hG4bK1;rport\\r\\n"
           b"Max-Forwards: 70\\r\\nFrom: <sip:a@example.org>;tag=1\\r\\nTo: <sip:boiler@127.0.0.1>\\r\\n"
           b"Call-ID: 1\\r\\nCSeq: 1 OPTIONS\\r\\nContent-Length: 0\\r\\n\\r\\n")

def fails(error, times, function):
    left = [error] * times
    def call(*arguments):
        if left:
            raise left.pop()
        return function(*arguments)
    return call

async def until(what):
    for _ in range(1000):
        found = what()
        if found:
            return found
        await asyncio.sleep_ms(10)
    raise AssertionError("it never happened: %r" % met[:3])

def heard():
    try:
        return desk.recvfrom(2000)
    except OSError:
        return None

def send(to):
    shell.carry_out(ua.send(ua.new_call_id(), to, b"hot", now()))

def ended():
    return [event for event in met if type(event) is Outcome]

async def asked():
    send(b"sip:desk@127.0.0.1:%d" % port)
    _, board = await until(heard)
    def response():
        desk.sendto(OPTIONS % b"UDP", board)
        found = heard()
        return found and found[0][:4] == b"SIP/" and found[0][8:11].decode()
    return await until(response)

async def main():
    shell.open(bind_udp("127.0.0.1", 0))
"""
_END = """
    told = [[e.name, e.status] if type(e) is Outcome else repr(e) for e in met]
    print(json.dumps([found, told]))

asyncio.run(main())
"""


def _run(scenario: str, port: int | None = None) -> tuple[Any, list[Any], str]:
    """Return what a scenario found, what the shell has handed on, and all that was printed before."""
    program = _BEGIN + "".join(f"    {line}\n" for line in scenario.strip().splitlines()) + _END
    done = run_program(program, str(port or closed_port()), "256k")
    *printed, last = done.stdout.splitlines()
    found, told = json.loads(last)
    return found, told, "\n".join(printed) + done.stderr


def test_reader_goes_on_when_what_it_needs_can_not_be_loaded() -> None:
    found, told, printed = _run("""
shell.others = fails(MemoryError(), 3, shell.others)
found = await asked()
""")
    assert (found, told, printed) == ("200", [], "")


def test_reader_goes_on_after_a_bug_and_tells_it() -> None:
    found, told, printed = _run("""
ua.receive = fails(ValueError("a bug"), 1, ua.receive)
found = await asked()
""")
    assert (found, told, printed) == ("200", ["ValueError('a bug',)"], "")


def test_reader_that_ran_out_of_memory_half_way_into_the_queue_reads_again() -> None:
    """asyncio then knows the task, while the poller doesn't know the socket"""
    found, told, printed = _run("""
queue = asyncio.core._io_queue
class Poller:
    def register(self, *arguments):
        queue.poller = poller
        raise MemoryError
    def __getattr__(self, name):
        return getattr(poller, name)
poller = queue.poller
queue.poller = Poller()
found = await asked()
""")
    assert (found, told, printed) == ("200", [], "")


def test_memory_that_is_short_again_and_again_is_on_the_console() -> None:
    """R0-P13: a few times are nothing to tell"""
    found, told, printed = _run("""
shell.repeats = 62
shell.others = fails(MemoryError(), 1, shell.others)
found = [await asked()]
shell.others = fails(MemoryError(), 1, shell.others)
found.append(await asked())
""")
    assert (found, told) == (["200", "200"], [])
    assert printed == "memory is short: leave something out"


def test_what_memory_allows_to_read_in_part_alone_is_not_answered_and_read_whole_later() -> None:
    """R0-P5: half of a message isn't a wrong one"""
    found, told, printed = _run("""
import mote.net.shell
readable = mote.net.shell.readable
mote.net.shell.readable = lambda sock: readable(getattr(sock, "udp", sock))
class Short:
    def __init__(self, udp):
        self.udp = udp
        self.recvfrom = fails(MemoryError(), 2, udp.recvfrom)
        self.sendto = udp.sendto
long = OPTIONS[:-4] % b"UDP" + b"\\r\\nSubject: %s\\r\\n\\r\\n" % (b"x" * 500)
send(b"sip:desk@127.0.0.1:%d" % port)
_, board = await until(heard)
shell._udp = Short(shell._udp)
seen = []
receive = ua.receive
ua.receive = lambda data, *more: seen.append(len(data)) or receive(data, *more)
desk.sendto(long, board)
def answered():
    desk.sendto(long, board)
    data = heard()
    return data and data[0][:3] == b"SIP" and data[0][8:11].decode()
found = [await until(answered), seen[0] == len(long)]
""")
    assert (found, told, printed) == (["200", True], [], "")


def test_bug_that_can_not_even_be_logged_is_on_the_console() -> None:
    found, told, printed = _run("""
ua.receive = fails(ValueError("a bug"), 1, ua.receive)
shell._on_event = fails(MemoryError(), 1, met.append)
found = await asked()
""")
    assert (found, told, printed) == ("200", [], "a bug")


def test_ticker_goes_on_whatever_the_core_raises() -> None:
    found, told, _ = _run("""
ua.wake = fails(ValueError("a bug"), 1, fails(MemoryError(), 1, ua.wake))
ua.wait_ms = fails(ValueError("another"), 1, ua.wait_ms)
send(b"sip:desk@127.0.0.1:%d" % port)
first = (await until(heard))[0]
found = first == (await until(heard))[0]
""")
    assert (found, told) == (True, ["ValueError('another',)", "ValueError('a bug',)"])


def test_outcome_is_told_again_when_there_was_no_memory_to_take_it() -> None:
    """Nothing else would: the core has forgotten the message"""
    with Peer("tcp", [["200 OK"]]) as peer:
        _, told, _ = _run(f"""
shell._on_event = fails(MemoryError(), 3, met.append)
send(b"sip:desk@127.0.0.1:{peer.port};transport=tcp")
found = bool(await until(ended))
""")
    assert told == [["delivered", 200]]


def test_core_hears_of_the_end_of_a_stream_once_there_is_memory() -> None:
    """Not from Timer F, 32 s later"""
    with Peer("tcp", [[]]) as peer:
        _, told, _ = _run(f"""
ua.failed = fails(MemoryError(), 3, ua.failed)
send(b"sip:desk@127.0.0.1:{peer.port};transport=tcp")
found = bool(await until(ended))
""")
    assert told == [["failed", 503]]


def test_streams_are_closed_when_our_address_has_changed() -> None:
    """What waits for an answer hears of it at once, not from Timer F"""
    with Peer("tcp", [[], []]) as peer:  # no answer ever comes
        found, told, _ = _run(f"""
send(b"sip:desk@127.0.0.1:{peer.port};transport=tcp")
await until(lambda: [each.stream for each in shell.others().streams().connections.values()] != [None])
shell.others().moved()
found = (await until(ended))[0].reason.decode()
""")
    assert (found, told) == ("our address has changed", [["failed", 503]])


def test_stream_is_read_on_after_a_bug_in_what_an_item_led_to() -> None:
    with Peer("tcp", [["200 OK"]] * 2) as peer:  # takes one connection alone
        _, told, _ = _run(f"""
ua.receive = fails(ValueError("a bug"), 1, ua.receive)
send(b"sip:desk@127.0.0.1:{peer.port};transport=tcp")
await until(lambda: met)
send(b"sip:other@127.0.0.1:{peer.port};transport=tcp")
found = bool(await until(ended))
""")
        assert len(peer.got) == 2
    assert told[:2] == ["ValueError('a bug',)", ["delivered", 200]]


def test_bug_while_connecting_or_writing_ends_what_waits_for_the_stream() -> None:
    with Peer("tcp", [[]]) as peer:
        _, told, _ = _run(f"""
open_connection = asyncio.open_connection
asyncio.open_connection = fails(ValueError("a bug"), 1, open_connection)
send(b"sip:desk@127.0.0.1:{peer.port};transport=tcp")
await until(ended)
async def opened(*arguments):
    stream, _ = await open_connection(*arguments)
    stream.write = fails(ValueError("another"), 1, stream.write)
    return stream, stream
asyncio.open_connection = opened
send(b"sip:desk@127.0.0.1:{peer.port};transport=tcp")
found = await until(lambda: len(met) == 4)
""")
    assert told == [["failed", 503], "ValueError('a bug',)", ["failed", 503], "ValueError('another',)"]


def test_stream_that_could_not_be_begun_is_begun_with_the_next_request() -> None:
    """No memory for its task: nothing is left that others would write to and nobody would send."""
    with Peer("tcp", [["200 OK"]]) as peer:
        _, told, _ = _run(f"""
streams = shell.others().streams()
streams._connect = fails(MemoryError(), 1, streams._connect)
send(b"sip:desk@127.0.0.1:{peer.port};transport=tcp")
found = bool(await until(ended))
""")
    assert told == [["delivered", 200]]


def test_listener_takes_the_next_stream_after_one_that_it_could_not_take() -> None:
    found, told, _ = _run("""
shell.others().listen("127.0.0.1", port)
streams = shell.others().streams()
streams.accept = fails(MemoryError(), 1, fails(ValueError("a bug"), 1, streams.accept))
found = []
for _ in range(3):
    stream, _ = await asyncio.open_connection("127.0.0.1", port)
    stream.write(OPTIONS % b"TCP")
    try:
        found.append((await stream.read(11)).decode())
    except OSError:
        pass  # reset, as nobody has read the request
""")
    assert (found[-1], told) == ("SIP/2.0 200", ["ValueError('a bug',)"])


def test_name_is_looked_up_again_after_a_bug() -> None:
    _, told, _ = _run("""
from mote.net import names
names._server = fails(KeyError("a bug"), 1, names._server)
for number in range(2):
    send(b"sip:desk@example.org")
    await until(lambda: len(ended()) > number)
found = ended()[1].reason.decode()
""")
    assert told == [["failed", 503], "KeyError('a bug',)", ["failed", 503]]


def test_wifi_is_joined_again_and_the_clocks_are_kept_after_a_bug() -> None:
    found, told, _ = _run("""
class network:
    STA_IF = 0
    joined = 0
    class WLAN:
        def __init__(self, kind):
            pass
        def active(self, on):
            pass
        def connect(self, ssid, password):
            network.joined += 1
            self.checks = 0
        def isconnected(self):
            self.checks += 1
            return self.checks < 3
        def ifconfig(self):
            return ("192.0.2.7",)
class mote:
    settings = {"wifi": [["HOME", ""]]}
    kept = 0
    def log(self, *arguments, **fields):
        raise ValueError("a bug")
    def uptime_ms(self):
        mote.kept += 1
        if mote.kept == 1:
            raise ValueError("another")
mote.shell = shell
mote.agent = ua
sys.modules["network"] = network
from mote.net.link import keep_up
from mote.online import keep_house
sleep_ms = asyncio.sleep_ms
asyncio.sleep_ms = lambda ms: sleep_ms(min(ms, 10))
for task in (keep_up(mote()), keep_house(mote())):
    asyncio.create_task(task)
found = await until(lambda: network.joined > 1 and mote.kept > 1)
""")
    assert found and {"ValueError('a bug',)", "ValueError('another',)"} == set(told)


_PROGRAM = """
from mote import Mote

mote = Mote()


@mote.every(3600)
async def boiler():
    await mote.alert("hot")


@mote.command("break")
def stop(message):
    wake = mote.agent.wake

    def broken(now):
        mote.agent.wake = wake
        raise ValueError("a bug")

    mote.agent.wake = broken
    return "broken"


mote.run()
"""


def test_board_logs_a_bug_as_one_record_and_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, _PROGRAM) as board:
        desk, monitor = board.desk, board.monitor
        desk.answer(200)
        assert desk.ask(desk.from_port, b"text/plain", b"break", to=b"sip:boiler@127.0.0.1").status == 200
        reply = desk.receive()[0]
        record = monitor.wait_for(event="log", name="task_failed")
        fields = {"error": "ValueError('a bug',)", "at": "main.py:18 broken"}
        assert (record["level"], record["fields"]) == ("error", fields)
        assert desk.receive()[0].data == reply.data  # a repetition: who watches the time is still there
        seen = monitor.lines[[line.get("text") for line in monitor.lines].index("MPY: soft reboot") + 1 :]
        assert not [line for line in seen if line["event"] == "console"]
