"""Compare finished runs: their settings, metrics and differences, with confidence intervals."""
