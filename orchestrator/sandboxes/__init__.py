"""Sandboxes from outside: what starts and stops them, and the channel into a running one."""
