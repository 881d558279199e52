"""Container images: what they are made of, how they are built, published, pulled and removed."""
