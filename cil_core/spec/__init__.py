"""What a run is and what it reports: tracks, recipes, events and metrics. Imports neither PyTorch nor the engine."""
