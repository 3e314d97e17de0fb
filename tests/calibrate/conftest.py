import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "compare"))  # where runs are made for tests
