"""The tiny VLM and the tiny CLIP that the project ships: trained from nothing on the synthetic world."""
