"""Who is near whom: neighbor lists of one model, with all systems that tie."""
