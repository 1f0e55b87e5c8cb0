"""The pages for people: server-rendered, readable without scripts, on the same questions to the store as the JSON API."""
