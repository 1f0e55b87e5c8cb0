"""The child process that executes one run. The only part of the workers that imports PyTorch."""
