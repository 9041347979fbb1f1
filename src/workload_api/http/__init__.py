"""What every router shares: bodies, errors, lists, request ids, and the context that the server hands to them."""
