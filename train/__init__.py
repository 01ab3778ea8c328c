"""What learns: the fast trainer and, beside it, what it is measured against."""
