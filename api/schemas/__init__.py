"""Bodies of the API: one pydantic model per shape, built from the store's rows and cards."""
