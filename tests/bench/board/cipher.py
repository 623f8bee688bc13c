# A step: something stands in for cryptolib, which a VM built without ssl lacks. It doesn't encrypt.
import sys


class Cipher:
    def __init__(self, key, mode):
        pass

    def encrypt(self, block):
        return block


class Module:
    aes = Cipher


sys.modules["cryptolib"] = Module
