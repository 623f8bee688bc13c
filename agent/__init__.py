"""Sans-IO core of a SIP MESSAGE user agent (RFC 3428). Import the module you need: this one loads nothing."""
