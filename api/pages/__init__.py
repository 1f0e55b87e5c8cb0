"""Pages for people: server-rendered, readable without scripts, on the same store queries as the JSON API."""
