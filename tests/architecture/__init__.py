"""How the code may look."""
