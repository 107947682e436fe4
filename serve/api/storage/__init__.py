"""Storage: turns, conversations, feedback and API keys in SQLite or PostgreSQL.

    from serve.api.storage import Store

    store = await Store.open("sqlite:///serve.db")

Boundary: nothing outside this folder writes SQL.
"""

from serve.api.storage.database import Clash
from serve.api.storage.history import led, spoken
from serve.api.storage.migrate import upgrade
from serve.api.storage.records import ApiKey, Charge, Conversation, Exchange, Feedback, NewTurn, Past, StoredTurn
from serve.api.storage.store import Store

__all__ = [
    "ApiKey", "Charge", "Clash", "Conversation", "Exchange", "Feedback", "NewTurn", "Past", "Store", "StoredTurn",
    "led", "spoken", "upgrade",
]  # fmt: skip
