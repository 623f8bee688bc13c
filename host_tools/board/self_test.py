"""A configuration tried on the board that has it: does it join its network, find names, register, get an alert through?

mote itself does all that, in place of the board's program, and tells by its log records. Alerts are sent from memory
and no watchdog runs, so that nothing is left on the board.
"""

import re
from typing import Any

from sipmote.agent.errors import ParseError
from sipmote.agent.resolve.search import is_address
from sipmote.agent.uri import parse_uri
from sipmote.board.config import Config
from sipmote.board.findings import FAILED, NOT_TRIED, OK, Finding
from sipmote.board.survey import TOOLS, answers
from sipmote.link.repl import Board

PATIENCE = "the board tries it, for up to two minutes ..."  # what a person is told before
_WEAK_DBM = -75
_QUIET_S = 180  # what a board may take for one step, in silence
_PASSWORD = (401, 403, 407)
_SILENCE = (408, 503)

# Times are halves of a second. A driver's first word isn't always right: each network has two tries. Log records are
# told as answers are: no frame is among them.
_SCRIPT = """
import asyncio
from mote import settings
load=settings.load
def lean():
 found=load()
 found['outbox']=False
 found.pop('watchdog',None)
 return found
settings.load=lean
import mote as package
package.sent=lambda *a:None
mote=package.Mote()
del settings
seen={}
bad=0
def log(level,event,**fields):
 global bad
 seen[event]=fields
 bad+=event in ('wifi_failed','lan_failed') or fields.get('status')==503
 say(event,fields)
mote.log=log
async def until(done,halves,most):
 global bad
 bad=0
 while halves and bad<most and not done():
  halves-=1
  await asyncio.sleep_ms(500)
 return done()
async def find(uri):
 from mote.net.resolver import Resolver
 told=[]
 class Finder(Resolver):
  def _found(self,uri,flows,reason):
   told.append((flows,reason))
 Finder(mote.shell).resolve(uri)
 await until(lambda:told,60,99)
 say('found',uri,told and told[0])
 return told and told[0][0]
async def run(names,recipients,text):
 given=mote.settings.get
 links=len(given('wifi') or ())+(given('lan') is not None)
 if links and not await until(lambda:'wifi_up' in seen or 'lan_up' in seen,90,2*links):
  return
 for uri in names:
  if not await find(uri):
   return
 if given('register'):
  await until(lambda:'registered' in seen or 'not_registered' in seen,80,99)
  if 'registered' not in seen and seen.get('not_registered',{}).get('status',401) in (401,403,407):
   return
 for to in recipients:
  alert=mote.alert(text,expires=40,to=to)
  await until(lambda:alert.outcome,80+2*(given('notify') or 0),2)
  say('alert',to,alert.outcome)
@mote.every(86400)
async def trial():
 try:
  await run(%r,%r,%r)
 except Exception as error:
  say('error',repr(error))
 raise KeyboardInterrupt
try:
 mote.run()
except KeyboardInterrupt:
 pass
"""


def try_out(board: Board, config: Config, text: str, recipients: list[str]) -> list[Finding]:
    """Try the configuration of a stopped board; returns what was found, in the order of who depends on whom.

    config: what is on the board. text: of the alert that is sent to each of the recipients. The board is left in its
    raw REPL, with mote in its memory. Raises ToolError for one that can't run mote, BoardFull where memory is short.
    """
    board.reset()
    names = [uri.encode() for uri in names_of(config)]
    said = answers(board.run(TOOLS + _SCRIPT % (names, recipients, text), _QUIET_S))
    return Report(config, said, recipients).findings()


def recipients_of(config: Config) -> list[str]:
    """Return the URIs of who gets the alerts."""
    to = config["to"]
    return [to] if isinstance(to, str) else to


def names_of(config: Config) -> list[str]:
    """Return URIs, one for each host that has to be looked up by its name, the first hop of a message first."""
    if config.get("proxy"):
        uris = [config["proxy"]]
    else:
        uris = [*recipients_of(config), *([config["aor"]] if config.get("register") else [])]
    hosts: dict[bytes, str] = {}
    for uri in uris:
        try:
            host = parse_uri(uri.encode()).host
        except ParseError:
            continue
        if not is_address(host):
            hosts.setdefault(host, uri)
    return list(hosts.values())


class Report:
    """What a board has said in a trial, made into findings. said: tuples, as the script above says them."""

    def __init__(self, config: Config, said: list[Any], recipients: list[str]) -> None:
        self._config = config
        self._said = said
        self._recipients = recipients
        self._seen = {event[0]: event[1] for event in said if len(event) == 2}  # the last of each

    def findings(self) -> list[Finding]:
        """Return them."""
        steps = [self._network(), *self._names(), self._registrar(), *self._alerts()]
        if "error" in self._seen:
            steps.append(Finding("trial", FAILED, str(self._seen["error"]), "please report it, with this line"))
        return steps

    def _network(self) -> Finding:
        config, seen = self._config, self._seen
        if "wifi_up" in seen:
            return _joined(seen["wifi_up"])
        if "lan_up" in seen:
            return Finding("network", OK, f"the cable brings the address {seen['lan_up'].get('address')}")
        if not config.get("wifi") and config.get("lan") is None:
            return Finding("network", NOT_TRIED, "the configuration names none (wifi, lan)")
        failed = {fields["ssid"]: fields for event, fields in self._pairs("wifi_failed")}
        told = [f"{ssid or 'wifi'}: {fields.get('reason')}" for ssid, fields in failed.items()]
        told += [f"cable: {fields.get('reason')}" for event, fields in self._pairs("lan_failed")][-1:]
        text = "; ".join(told) or "nothing came of it in 45 s"
        return Finding("network", FAILED, text, _network_remedy(text, [*failed]))

    def _pairs(self, name: str) -> list[Any]:
        return [event for event in self._said if event[0] == name]

    def _is_online(self) -> bool:
        return self._network().state != FAILED

    def _names(self) -> list[Finding]:
        wanted = names_of(self._config)
        if not wanted:
            return [Finding("name", NOT_TRIED, "the configuration has addresses alone")]
        if not self._is_online():
            return [Finding("name", NOT_TRIED, "there is no network")]
        told = {uri.decode(): found for _, uri, found in self._pairs("found")}
        return [self._name(uri, told.get(uri)) for uri in wanted if uri in told]

    def _name(self, uri: str, found: Any) -> Finding:
        """Judge (flows, reason) that a board has found for a URI; nothing when it was silent for 30 s."""
        host = parse_uri(uri.encode()).host.decode()
        flows, reason = found or ((), b"no answer in 30 s")
        if flows:
            places = {f"{flow[1].decode()} port {flow[2]} ({flow[0].decode()})": None for flow in flows}
            return Finding("name", OK, f"{host} is {', '.join(places)}")
        remedy = "check how it is spelled, and that the board's DNS server knows it: sipmote config set dns=ADDRESS"
        return Finding("name", FAILED, f"{host}: {_words(reason) or 'not found'}", remedy)

    def _registrar(self) -> Finding:
        seconds, seen = self._config.get("register"), self._seen
        if not seconds:
            return Finding("registration", NOT_TRIED, "the configuration asks for none (register)")
        if "registered" in seen:
            return Finding("registration", OK, f"the registrar keeps us for {seen['registered'].get('expires')} s")
        if not self._has_names():
            return Finding("registration", NOT_TRIED, self._why_not())
        if "not_registered" not in seen:
            return Finding("registration", FAILED, "no answer in 40 s", _server_remedy(408))
        status = seen["not_registered"].get("status", 0)
        text = f"{_words(seen['not_registered'].get('reason'))} ({_status(status)})".strip()
        return Finding("registration", FAILED, text, _server_remedy(status))

    def _has_names(self) -> bool:
        return self._is_online() and all(finding.state != FAILED for finding in self._names())

    def _why_not(self) -> str:
        return "its name is not found" if self._is_online() else "there is no network"

    def _alerts(self) -> list[Finding]:
        told = {to: outcome for _, to, outcome in self._pairs("alert")}
        return [self._alert(to, told) for to in self._recipients]

    def _alert(self, to: str, told: dict[str, str | None]) -> Finding:
        """Judge the outcome of an alert, None or "expired" where nobody has answered in time."""
        about = "alert"
        if to not in told:
            why = "the registrar lets us not in" if self._has_names() else self._why_not()
            return Finding(about, NOT_TRIED, f"{to}: {why}")
        outcome = told[to]
        if outcome == "delivered":
            return Finding(about, OK, f"delivered to {to}")
        if outcome == "accepted":
            return Finding(about, OK, f"a server has accepted it for {to}; whether it arrives, nobody has said")
        fields = self._seen.get("outcome", {})
        status = fields.get("status", 408)
        words = "" if status == 408 else _words(fields.get("reason"))
        ended = "no answer in time" if outcome in (None, "expired") else outcome
        text = f"{to}: {ended}" + (f", {words} ({_status(status)})" if words else "")
        return Finding(about, FAILED, text, _alert_remedy(status))


def _joined(fields: dict[str, Any]) -> Finding:
    rssi = fields.get("rssi")
    weak = ", weak: move it nearer to the access point" if isinstance(rssi, int) and rssi < _WEAK_DBM else ""
    strength = "" if rssi is None else f", {rssi} dBm{weak}"
    return Finding("network", OK, f"joined {fields.get('ssid')} as {fields.get('address')}{strength}")


def _network_remedy(text: str, ssids: list[str]) -> str:
    """Return what to do about the words of a record wifi_failed or lan_failed."""
    again = f"sipmote config set --wifi {next(iter(ssids), 'SSID') or 'SSID'}"
    if "password" in text:
        return f"type it again: {again}"
    if "no such network" in text:
        return f"look at its spelling ({again}), and go nearer; boards mostly know 2.4 GHz alone"
    if re.search("ImportError|no module", text):
        return "this firmware has no Wi-Fi: flash another one, or sipmote config unset wifi"
    if "DHCP" in text:
        return "restart the access point, or give the board a fixed address (sipmote config keys wifi)"
    return "go nearer, restart the access point, and try again"


def _server_remedy(status: int) -> str:
    if status in _PASSWORD:
        return "check the name and type the password again: sipmote config set --user NAME"
    if status == 404:
        return "the server knows no such user: check aor"
    if status in _SILENCE:
        return "nobody answers there: check host, port and transport in proxy and aor, and that the server runs"
    return "ask who runs the server what it has against it"


def _alert_remedy(status: int) -> str:
    if status in _PASSWORD:
        return _server_remedy(status)
    if status == 404:
        return "nobody is known by that name there: check to"
    if status in _SILENCE:
        return "nobody answers there: check host, port and transport in to and proxy, and that the recipient runs"
    return "ask who runs the recipient's server what it has against it"


def _status(status: int) -> str:
    return "no answer" if status == 408 else "unreachable" if status == 503 else f"status {status}"


def _words(reason: Any) -> str:
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason or "")
