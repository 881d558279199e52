"""What questions find, kept for the next ones while a report or a site is made."""
