"""Local inference with Hugging Face transformers."""
