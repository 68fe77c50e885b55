"""Rules and shapes, without anything that runs."""
