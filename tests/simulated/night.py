"""The desk is away for hours, alerts go on: simulated."""

from tests.simulated.desk import Desk, unix_of
from tests.simulated.world import begin, configure, new_mote, run, world

_SLACK_S = 200  # until the board asks again, and all that waits has left


def night(hours, every_s, has_cut):
    """Return what is wrong after a night, and how many alerts came. has_cut: is the power cut in the middle?"""
    begin()
    configure(outbox=1048576)
    world.peer = desk = Desk(world)
    desk.is_present = False
    raised = {}  # text -> (Unix seconds, expires)
    length_s = hours * 3600

    def live(mote, from_s, to_s):
        @mote.every(every_s)
        def sensor():
            passed = world.ms // 1000
            if passed >= length_s:
                return
            n = len(raised)
            expires = (None, 600, length_s + 7200, None, 3 * length_s)[n % 5]
            text = "alert %d" % n
            raised[text] = world.unix(), expires
            if not mote.alert(text, expires=expires).accepted:
                faults.append("not accepted: " + text)

        world.after(max(length_s * 1000 - world.ms, 0), back)
        run(mote, (to_s - from_s) * 1000)

    def back():
        desk.is_present = True

    faults = []
    records = {}
    half_s = length_s // 2 if has_cut else 0
    if has_cut:
        live(new_mote(records), 0, half_s)
    live(new_mote(records), half_s, length_s + 7200)
    back_at = world.unix() - 7200
    return {"faults": faults + check(desk, raised, back_at), "came": len(desk.texts()), "records": records}


def check(desk, raised, back_at):
    """Return what is wrong with what came."""
    faults = ["doubled: " + text for text in desk.doubled()]
    for text in raised:
        at, expires = raised[text]
        if (expires is None or at + expires > back_at + _SLACK_S) and text not in desk.texts():
            faults.append("lost: " + text)
    for text, _, _, date, expires_, came in desk.got:
        at, expires = raised[text]
        date = unix_of(date)
        if expires is not None and came > at + expires:
            faults.append("came expired: " + text)
        if came - at > 31 and (date is None or not -1 <= date - at <= 1):
            faults.append("dated %s, raised %d: %s" % (date, at, text))
        if expires is not None and not at + expires - 2 <= (date or came) + int(expires_) <= at + expires + 2:
            faults.append("expires %s: %s" % (expires_, text))
    return faults
