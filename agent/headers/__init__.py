"""Header field values, read and written."""
