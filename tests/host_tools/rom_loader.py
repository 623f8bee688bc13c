"""The ROM loader of an ESP32 or an ESP32-C3 at the other end of a pseudo-terminal, for esptool as it comes from PyPI.

It answers as the chip does in download mode: frames of SLIP (RFC 1055), registers, and a flash whose sectors have to be
erased before zeros become ones again. The code that esptool loads into RAM (its stub) isn't run: this answers in its
place from then on, with the stub's commands and status. A pseudo-terminal has no lines that reset a chip, so the stub
stays, as on a board whose reset isn't wired; press_reset() is the button. Source of the octets: Espressif's description
of it, https://docs.espressif.com/projects/esptool/en/latest/esp32/advanced-topics/serial-protocol.html
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass

from tests.host_tools.scripted_port import ScriptedPort

_END, _ESCAPE = b"\xc0", b"\xdb"
_SECTOR = 4096
_WORD = struct.Struct("<I")
_INVALID = b"\x01\x05"  # status of a request that isn't known
_AGAIN = 8  # answers to one sync, or to a request that isn't known


@dataclass(frozen=True)
class Chip:
    """What tells one chip from another at this line.

    number: in images and security information; None: this chip's ROM gives no security information. spi: where the
    registers of its flash are; result: the one that an answer of the flash lies in, from there.
    """

    magic: int
    number: int | None
    spi: int
    result: int


ESP32 = Chip(0x00F01D83, None, 0x3FF42000, 0x80)
ESP32_C3 = Chip(0x6921506F, 5, 0x60002000, 0x58)
_CHIP_MAGIC = 0x40001000
_CLOCK = {0x3FF40014: 347}  # the ESP32's divider of its clock, at 115,200 baud: 40 MHz


class RomLoader(ScriptedPort):
    """A chip in download mode. flash: what it holds; bauds: the rates it was told to go on at.

    erased: (offset, octets) of each erasure. dies_after: octets of a write that reach the flash before it falls silent,
    as when the cable goes; None: all. is_worn: a bit of the flash doesn't change any more. mistakes: how
    many packets of code come damaged.
    """

    def __init__(self, chip: Chip, flash_octets: int = 4 << 20, deaf: bool = False) -> None:
        """deaf: it takes what comes and says nothing, as one that isn't in that mode."""
        self.flash = bytearray(b"\xff" * flash_octets)
        self.bauds: list[int] = []
        self.erased: list[tuple[int, int]] = []
        self.dies_after: int | None = None
        self.is_worn = False
        self.mistakes = 0
        self._chip = chip
        self._deaf = deaf
        self._is_stub = False
        self._written = 0
        self._at = 0  # where the next octet of a write goes
        self._inflate = zlib.decompressobj()
        self._size_code = flash_octets.bit_length() - 1
        self._input = b""
        super().__init__(self._serve)

    def put(self, offset: int, data: bytes) -> None:
        """Have this in the flash before anybody comes."""
        self.flash[offset : offset + len(data)] = data

    def press_reset(self) -> None:
        """Start anew in the ROM, as the lines of a real port have a chip do at each start of esptool."""
        self._is_stub = False
        self._written = 0
        self.dies_after = None

    def _serve(self) -> None:
        while True:
            packet = self._packet()
            if len(packet) >= 8 and packet[0] == 0 and not self._deaf and not self._is_dead:
                self._answer(packet[1], packet[8:])

    def _packet(self) -> bytes:
        """Return the next frame, without its escapes."""
        while self._input.count(_END) < 2:
            self._input += self.read(65536)
        _, packet, self._input = self._input.split(_END, 2)
        if not packet:  # the end of a frame taken for a beginning
            self._input = _END + self._input
        return packet.replace(_ESCAPE + b"\xdc", _END).replace(_ESCAPE + b"\xdd", _ESCAPE)

    @property
    def _is_dead(self) -> bool:
        return self.dies_after is not None and self._written >= self.dies_after

    def _send(self, packet: bytes) -> None:
        escaped = packet.replace(_ESCAPE, _ESCAPE + b"\xdd").replace(_END, _ESCAPE + b"\xdc")
        if not self._is_dead:
            self.write(_END + escaped + _END)

    def _reply(self, command: int, data: bytes = b"", value: int = 0, status: bytes = b"\0\0") -> None:
        data += status if self._is_stub else status + b"\0\0"
        self._send(struct.pack("<BBHI", 1, command, len(data), value) + data)

    def _answer(self, command: int, data: bytes) -> None:
        handler = _COMMANDS.get(command)
        if handler is not None and (command < 0xD0 or self._is_stub):
            handler(self, command, data)
        elif self._is_stub:
            self._reply(command, status=b"\xff\0")
        else:
            for _ in range(_AGAIN):
                self._reply(0, status=_INVALID)

    def _sync(self, command: int, data: bytes) -> None:
        for _ in range(_AGAIN):
            self._reply(command, value=0 if self._is_stub else 0x20120707)

    def _read_register(self, command: int, data: bytes) -> None:
        (address,) = _WORD.unpack(data)
        flash_id = self._size_code << 16 | 0x40EF
        known = {**_CLOCK, _CHIP_MAGIC: self._chip.magic, self._chip.spi + self._chip.result: flash_id}
        self._reply(command, value=known.get(address, 0))

    def _security(self, command: int, data: bytes) -> None:
        if self._chip.number is None or (self._is_stub and self._chip.number is None):
            for _ in range(_AGAIN):
                self._reply(0, status=_INVALID)
        else:
            self._reply(command, struct.pack("<IB7sII", 0, 0, bytes(7), self._chip.number, 0))

    def _accept(self, command: int, data: bytes) -> None:
        self._reply(command)

    def _load(self, command: int, data: bytes) -> None:
        if self.mistakes:
            self.mistakes -= 1
            self._reply(command, status=b"\x01\x07")
        else:
            self._reply(command)

    def _start_stub(self, command: int, data: bytes) -> None:
        self._reply(command)
        self._is_stub = True
        self._send(b"OHAI")

    def _change_baud(self, command: int, data: bytes) -> None:
        self.bauds.append(_WORD.unpack(data[:4])[0])
        self._reply(command)

    def _begin(self, command: int, data: bytes) -> None:
        octets, _, _, self._at = struct.unpack("<IIII", data[:16])
        self._inflate = zlib.decompressobj()
        self._erase(self._at, octets)
        self._reply(command)

    def _data(self, command: int, data: bytes) -> None:
        self._program(data[16:])
        self._reply(command)

    def _deflated_data(self, command: int, data: bytes) -> None:
        self._program(self._inflate.decompress(data[16:]))
        self._reply(command)

    def _program(self, data: bytes) -> None:
        if self.dies_after is not None:
            data = data[: max(0, self.dies_after - self._written)]
        there = self.flash[self._at : self._at + len(data)]
        programmed = int.from_bytes(there, "big") & int.from_bytes(data, "big")  # zeros stay until the next erasure
        self.flash[self._at : self._at + len(data)] = programmed.to_bytes(len(data), "big")
        if self.is_worn and data:
            self.flash[self._at] ^= 1
        self._at += len(data)
        self._written += len(data)

    def _erase(self, offset: int, octets: int) -> None:
        end = -(-(offset + octets) // _SECTOR) * _SECTOR
        begin = offset // _SECTOR * _SECTOR
        if octets:
            self.flash[begin:end] = b"\xff" * (end - begin)
            self.erased.append((begin, end - begin))

    def _erase_all(self, command: int, data: bytes) -> None:
        self._erase(0, len(self.flash))
        self._reply(command)

    def _digest(self, command: int, data: bytes) -> None:
        offset, octets = struct.unpack("<II", data[:8])
        digest = hashlib.md5(self.flash[offset : offset + octets])
        self._reply(command, digest.digest() if self._is_stub else digest.hexdigest().encode())

    def _read_flash(self, command: int, data: bytes) -> None:
        offset, octets, piece, _ = struct.unpack("<IIII", data[:16])
        wanted = bytes(self.flash[offset : offset + octets])
        self._reply(command)
        for at in range(0, octets, piece):
            self._send(wanted[at : at + piece])
            self._packet()  # how much has come
        self._send(hashlib.md5(wanted).digest())


_COMMANDS = {
    0x02: RomLoader._begin,
    0x03: RomLoader._data,
    0x04: RomLoader._accept,  # the end of a write
    0x05: RomLoader._accept,  # a part of the stub begins
    0x06: RomLoader._start_stub,
    0x07: RomLoader._load,
    0x08: RomLoader._sync,
    0x09: RomLoader._accept,  # a register is written
    0x0A: RomLoader._read_register,
    0x0B: RomLoader._accept,  # the flash's size
    0x0D: RomLoader._accept,  # the flash's pins
    0x0F: RomLoader._change_baud,
    0x10: RomLoader._begin,
    0x11: RomLoader._deflated_data,
    0x12: RomLoader._accept,
    0x13: RomLoader._digest,
    0x14: RomLoader._security,
    0xD0: RomLoader._erase_all,
    0xD2: RomLoader._read_flash,
}
