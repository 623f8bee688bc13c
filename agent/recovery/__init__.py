"""What a UAC tries before it gives up (RFC 3261 section 8.1.3)."""
