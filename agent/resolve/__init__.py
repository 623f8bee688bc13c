"""Where a URI leads: RFC 3263 over DNS."""
