"""The worker process: claims runs, supervises their child processes and records their events.

Never imports PyTorch.
"""
