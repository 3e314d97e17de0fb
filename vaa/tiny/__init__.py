"""The tiny VLM and the tiny CLIP that come with the project, and their training on the synthetic videos."""
