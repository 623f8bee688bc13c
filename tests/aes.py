"""AES as cryptolib has it on boards: that itself, or the package cryptography behind the same interface."""

try:
    from cryptolib import aes
except ImportError:  # CPython
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    class aes:  # its name there
        """mode: 1 for single blocks, 2 for chained ones behind a start."""

        def __init__(self, key, mode, start=None):
            self._cipher = Cipher(algorithms.AES(key), modes.ECB() if mode == 1 else modes.CBC(start))

        def encrypt(self, octets):
            return self._cipher.encryptor().update(octets)

        def decrypt(self, octets):
            return self._cipher.decryptor().update(octets)
