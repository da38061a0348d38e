"""What the paper says: printed numbers, claims and their checks, inconsistencies, deviations."""
