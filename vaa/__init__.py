"""vaa: training-free video anomaly analysis with frozen vision-language models."""

import os

# Threads of torch and scikit-learn that wait by spinning take the core from those that work: on two busy cores a run
# took five times as long. Has to be said before either is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
