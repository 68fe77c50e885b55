"""Programs for people who work on the project; none is part of the product."""
