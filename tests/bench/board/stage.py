# Does one stage of an alert N times: `stage.py WHICH N`.
import gc
import os
import sys

from agent.events import Outcome
from agent.user_agent import UserAgent
from mote.log import sent

gc.threshold(-1)  # as mote has it once a board has started
which = sys.argv[1]
target = b"sip:desk@127.0.0.1:5099"
agent = UserAgent(b"sip:boiler@127.0.0.1", b"127.0.0.1:5060", os.urandom)

outcome = Outcome(b"59c6250689b35472d2a8", "delivered", 200, b"OK", None)
answer = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=%s;received=127.0.0.1;rport=5060\r\n"
    b"From: <sip:boiler@127.0.0.1>;tag=02020202\r\nTo: <sip:desk@127.0.0.1>;tag=04040404\r\n"
    b"Call-ID: 01010101010101010101\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
)
flow = (b"UDP", b"127.0.0.1", 5099)


def send():
    return agent.send(agent.new_call_id(), target, b"Boiler at 85 C", 0)[0].data


def once():
    if which == "send":
        send()
        agent.uac.pending.clear()
        agent.uac.queues.clear()
    elif which == "send+receive":
        request = send()
        at = request.find(b"branch=") + 7
        agent.receive(answer % request[at : at + 23], flow, 0)
    elif which == "log":
        sent(1000, None, outcome)


for _ in range(int(sys.argv[2])):
    once()
