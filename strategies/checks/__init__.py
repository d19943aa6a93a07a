"""What the server checks of all that nodes send: the census, and every reply of a round."""
