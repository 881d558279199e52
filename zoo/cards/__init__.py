"""Cards: what is known of a family and its models, as data; their discovery and their locks."""
