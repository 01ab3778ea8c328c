"""Fast against slow, in numbers and pictures."""
