"""Answers at once with what came in, and tells when its process started and when the message reached it."""

import time

ENTERED = time.time()

import psutil  # noqa: E402
from flwr.app import Context, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """The round trip."""
    return _answer(message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """The second phase of FedAvg."""
    return _answer(message)


def _answer(message: Message) -> Message:
    times = {
        "process": psutil.Process().create_time(),
        "app": ENTERED,
        "handler": time.time(),
        "num-examples": 1.0,
    }
    content = {name: record for name, record in message.content.items() if name == "arrays"}
    return Message(RecordDict({**content, "metrics": MetricRecord(times)}), reply_to=message)
