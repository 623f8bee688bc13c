"""The board profiles."""

import re

from sipmote.board.profiles import profiles, profiles_behind


def test_every_profile_can_be_read_and_its_usb_ids_are_written_as_lsusb_writes_them() -> None:
    keys = [profile.key for profile in profiles()]
    assert "esp32_generic" in keys
    assert "virtual" in keys
    for profile in profiles():
        assert all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", usb_id) for usb_id in profile.usb)


def test_a_device_is_known_by_its_usb_id() -> None:
    assert [profile.key for profile in profiles_behind("2e8a:0005")] == ["rpi_pico_w"]
    assert profiles_behind("ffff:ffff") == []
