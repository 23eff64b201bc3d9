"""Generated examples are judged by what they show, not by how busy the machine is."""

from hypothesis import settings

settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")
