"""What a run is and what it reports: tracks, recipes, events, metrics. Imports no PyTorch and no engine."""
