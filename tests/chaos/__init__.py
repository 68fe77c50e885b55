"""What holds when things die."""
