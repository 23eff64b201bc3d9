"""headway paces, meters and schedules traffic to LLM APIs."""

__version__ = "0.1.0"
