"""The house's rules about itself: sizes, imports, what really loads."""
