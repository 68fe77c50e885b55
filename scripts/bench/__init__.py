"""`make bench`: what the product costs, each figure beside its bare counterpart in the same run.

Owns an embedded stack in a temporary home and everything it starts. Refuses to judge by
exit code: a missed target is marked, and machines differ; only what cannot be measured fails.
"""
