"""What the client and the server both need: file and text formats. Imports neither."""
