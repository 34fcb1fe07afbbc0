"""What the client and the server both need, and the only thing that they share."""
