"""vaa: training-free video anomaly analysis with frozen vision-language models."""
