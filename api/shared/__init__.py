"""What the client and the server both need: file formats, text formats, safe printing. It imports neither."""
