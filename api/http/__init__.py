"""HTTP concerns shared by all routes: middleware, problems, validation, caching and rate limits."""
