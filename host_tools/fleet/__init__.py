"""A fleet of boards that loads a desk, and what became of each alert that it has raised."""
