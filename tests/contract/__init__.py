"""What the contract promises, from outside."""
