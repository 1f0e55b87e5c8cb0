"""Networks: backbones that turn images into features, heads that grow, and ways of joining them."""
