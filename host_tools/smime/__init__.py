"""S/MIME with the package cryptography: keys, what they make of a message, and what they say of one."""
