"""Images as files: archives that an engine has saved, and what Apptainer makes of an image."""
