"""The jobs door: a bulk job at the whole quota, resumable."""
