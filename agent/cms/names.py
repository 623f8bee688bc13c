"""Object identifiers of CMS and of what it is made with, as the contents of DER's OBJECT IDENTIFIER."""

PKCS = b"\x2a\x86\x48\x86\xf7\x0d\x01"  # 1.2.840.113549.1
DATA = PKCS + b"\x07\x01"
SIGNED_DATA = PKCS + b"\x07\x02"
ENVELOPED_DATA = PKCS + b"\x07\x03"
AUTH_ENVELOPED_DATA = PKCS + b"\x09\x10\x01\x17"
CONTENT_TYPE = PKCS + b"\x09\x03"
MESSAGE_DIGEST = PKCS + b"\x09\x04"
RSA = PKCS + b"\x01\x01"
SHA256 = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01"  # 2.16.840.1.101.3.4.2.1, then .2 and .3
ECDSA = b"\x2a\x86\x48\xce\x3d\x04\x03"  # 1.2.840.10045.4.3, then .2 for SHA-256
AES = b"\x60\x86\x48\x01\x65\x03\x04\x01"  # 2.16.840.1.101.3.4.1, then one octet: 5 wraps keys, 6 is GCM, of 128 bits
AGREEMENT = b"\x2b\x81\x04\x01\x0b\x01"  # dhSinglePass-stdDH-sha256kdf-scheme, 1.3.132.1.11.1
BY_KEY_ID = 0x80  # [0] subjectKeyIdentifier
