"""What the API answers: one pydantic model for each shape, built from the store's rows and cards."""
