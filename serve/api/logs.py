"""Structured logs on standard error: one JSON object a line, without what people wrote."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from serve.settings import Settings

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; fields given as `extra` stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in _OWN}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A record for a person's eyes."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in _OWN)
        at = datetime.fromtimestamp(record.created)
        text = f"{at:%H:%M:%S} {record.levelname.lower():7} {record.getMessage()} {fields}"
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        return text.rstrip()


def set_up_logs(settings: Settings) -> None:
    """Send all logs of this process to standard error in the form that the settings name."""
    handler = logging.StreamHandler(sys.stderr)
    form = settings.log_format or ("text" if sys.stderr.isatty() else "json")
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    logging.getLogger("uvicorn.access").disabled = True  # the envelope writes its own line
    for noisy in ("alembic", "httpx", "httpcore", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
