"""The main job, end to end: what `make demo` shows, asserted on the commands' JSON lines."""

import pytest

from tests.demo import main_job


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_alert_leaves_a_board_and_arrives_in_an_inbox_and_a_command_is_answered(transport: str) -> None:
    seen = main_job.run(transport, None)
    assert [alert["body"] for alert in seen["alerts"]] == ["Boiler at 81 C", "Boiler at 85 C"]
    for alert in seen["alerts"]:
        assert alert["from"] == "sip:boiler@127.0.0.1"
        assert alert["transport"] == transport
        assert alert["content_type"] == "text/plain"
        assert alert["date"] is not None
        assert (alert["expired"], alert["stale"], alert["duplicate"]) == (False, False, False)
    fields = seen["outcome"]["fields"]
    assert (fields["name"], fields["status"]) == ("delivered", 200)
    # Both alerts may be over before we listen: then it is that of the answer.
    assert fields["call_id"] in [one["call_id"] for one in (*seen["alerts"], seen["reply"])]
    assert seen["outcome"]["clock"] == "host"
    assert seen["reply_sent"]["outcome"] == "delivered"
    assert seen["command"]["fields"]["word"] == "status"
    assert seen["reply"]["body"].startswith("ok, up ")
    assert not [line for line in seen["log"] if line["event"] == "damaged"]
    assert seen["deployed"]["sent"] > 20
