"""The board profiles."""

import dataclasses
import re
from fnmatch import fnmatch

import pytest

from sipmote.board.profiles import Profile, profiles, profiles_behind

_OFFSETS = {  # where the chip's ROM looks for the bootloader, with which MicroPython's images begin
    "esp32": 0x1000,
    "esp32s2": 0x1000,
    "esp32s3": 0,
    "esp32c3": 0,
    "esp32c6": 0,
    "esp8266": 0,
    "rp2040": None,  # a drive
    "rp2350": None,
    "unix": None,
}
_TYPES = {"flash_offset": int, "heap": int, "baud": int, "strapping": int, "filesystem": dict}  # the others are texts


def _told(profile: Profile) -> dict[str, object]:
    """Return what this profile's file says, its sources apart."""
    fields = {each.name: each for each in dataclasses.fields(profile)}
    values = {name: getattr(profile, name) for name in fields if name not in ("key", "sources")}
    return {name: value for name, value in values.items() if value != fields[name].default or name == "flash_offset"}


def test_each_kind_of_board_has_a_profile() -> None:
    assert sorted(profile.chip for profile in profiles()) == sorted(_OFFSETS)
    assert len({profile.name for profile in profiles()}) == len(_OFFSETS)


@pytest.mark.parametrize("profile", profiles(), ids=lambda profile: profile.key)
def test_profile_has_values_of_the_right_kinds_each_with_its_source(profile: Profile) -> None:
    assert re.fullmatch("[a-z0-9_]+", profile.key)
    for name, value in _told(profile).items():
        values = value if type(value) is tuple else (value,)
        assert all(type(each) is _TYPES.get(name, str) for each in values if each is not None), name
        assert all(values.count(each) == 1 for each in values), name
    assert set(profile.sources) >= {name for name, value in _told(profile).items() if value is not None} - {"name"}
    assert set(profile.sources) <= {each.name for each in dataclasses.fields(profile)}
    assert all(
        re.search(r"https?://\S+\.\S+|[\w/]+\.(py|md|json|c|h|csv)\b|same", each) for each in profile.sources.values()
    )


@pytest.mark.parametrize("profile", profiles(), ids=lambda profile: profile.key)
def test_usb_ids_are_written_as_lsusb_writes_them(profile: Profile) -> None:
    assert all(re.fullmatch("[0-9a-f]{4}:[0-9a-f]{4}", usb_id) for usb_id in profile.usb)
    assert profile.usb or profile.chip == "unix"


@pytest.mark.parametrize("profile", profiles(), ids=lambda profile: profile.key)
def test_image_goes_where_the_chip_looks_for_it(profile: Profile) -> None:
    assert profile.flash_offset == _OFFSETS[profile.chip]
    assert (profile.firmware or "").endswith(".bin") == (profile.flash_offset is not None)


def test_image_is_the_one_without_a_variant_and_of_one_board_alone() -> None:
    """As micropython.org names them: board, variant, date and version."""
    patterns = {profile.key: profile.firmware for profile in profiles() if profile.firmware}
    for name, key in (
        ("ESP32_GENERIC-20250911-v1.26.1.bin", "esp32_generic"),
        ("ESP32_GENERIC_S2-20250911-v1.26.1.bin", "esp32_generic_s2"),
        ("ESP32_GENERIC_S3-20250911-v1.26.1.bin", "esp32_generic_s3"),
        ("ESP32_GENERIC_C3-20250911-v1.26.1.bin", "esp32_generic_c3"),
        ("ESP32_GENERIC_C6-20250911-v1.26.1.bin", "esp32_generic_c6"),
        ("RPI_PICO_W-20250911-v1.26.1.uf2", "rpi_pico_w"),
        ("RPI_PICO2_W-20250911-v1.26.1.uf2", "rpi_pico2_w"),
        ("ESP8266_GENERIC-20260406-v1.28.0.bin", "esp8266_generic"),
        ("ESP32_GENERIC-SPIRAM-20250911-v1.26.1.bin", None),
        ("ESP32_GENERIC_S3-SPIRAM_OCT-20250911-v1.26.1.bin", None),
        ("RPI_PICO2_W-RISCV-20250911-v1.26.1.uf2", None),
        ("RPI_PICO-20250911-v1.26.1.uf2", None),
    ):
        assert [each for each, pattern in patterns.items() if fnmatch(name, pattern)] == ([key] if key else []), name


def test_a_device_is_known_by_its_usb_id() -> None:
    assert [profile.key for profile in profiles_behind("2e8a:0005")] == ["rpi_pico2_w", "rpi_pico_w"]
    assert profiles_behind("ffff:ffff") == []
