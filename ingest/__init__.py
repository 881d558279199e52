"""From systems and models to vectors in the store; README.md says what each folder does."""

from schemas.interrupt import quiet_start

quiet_start()
