"""Local inference by vLLM's engine."""
