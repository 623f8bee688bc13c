"""The command line `sipmote`: everything that happens on the computer a board is plugged into."""
