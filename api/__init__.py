"""HTTP and HTML translated to calls on `store`; never imports PyTorch or `workers`."""
