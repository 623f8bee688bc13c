"""End-to-end protection: CMS and S/MIME (RFC 5652, RFC 8551, RFC 8591)."""
