"""vaa: training-free video anomaly analysis with frozen vision-language models."""

import os

# How long threads of torch and scikit-learn spin before they sleep, in turns of a loop; has to be said before either is
# loaded. GNU's own 300,000 take the core from those that work where others keep it busy (a run took five times as
# long); with none, waking takes a tenth of a quiet machine's time (docs/experiments.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
