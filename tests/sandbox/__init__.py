"""What a sandbox allows and denies."""
