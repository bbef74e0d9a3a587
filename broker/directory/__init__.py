"""Members, keys and agreements: where the trusted value comes from."""
