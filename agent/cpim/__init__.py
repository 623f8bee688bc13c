"""message/cpim (RFC 3862) and disposition notifications (RFC 5438)."""
