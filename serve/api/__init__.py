"""The REST API: OpenAI-compatible and native endpoints, storage, keys and operations around one Agent.

app.py         the application: routes, middlewares, start and end
runner.py      one turn from an accepted request to a committed record
chat.py, responses.py, moderations.py, models.py      OpenAI's endpoints
turns.py, conversations.py, feedback.py, tools.py     our own
idempotency.py  what a request knows when it begins, and requests that are sent again
storage/       tables, migrations, and all queries
"""
