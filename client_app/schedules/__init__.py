"""In which order a node learns its modalities; `train` picks the schedule of the run."""

from client_app.schedules.schedule import train

__all__ = ["train"]
