"""Choose the threshold of alerts on footage without events: `python -m vaa.calibrate`."""
