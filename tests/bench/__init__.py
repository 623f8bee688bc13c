"""What things cost: `make bench` measures and prints one table. Nothing here is asserted by a test."""
