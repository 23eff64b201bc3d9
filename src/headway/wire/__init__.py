"""The thin HTTP/1.1 client of the jobs and gateway doors."""

from headway.wire.client import Client
from headway.wire.exchange import Timeouts
from headway.wire.reply import Reply
from headway.wire.upload import Upload

__all__ = ["Client", "Reply", "Timeouts", "Upload"]
