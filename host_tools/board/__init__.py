"""What belongs on a board and how it gets there."""
