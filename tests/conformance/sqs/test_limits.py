"""The limit of 120,000 messages in flight."""

import concurrent.futures
import http.client
import json

import pytest
from conftest import refused

IN_FLIGHT = 120_000
HEADERS = {"Content-Type": "application/x-amz-json-1.0"}


class Fast:
    """A bare keep-alive connection: boto3 would spend most of the test's time on itself."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection(*server.address, timeout=60)

    def call(self, action, payload):
        body = json.dumps(payload)
        self.connection.request("POST", "/", body, {**HEADERS, "X-Amz-Target": f"AmazonSQS.{action}"})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)


def fill(server, queue, fifo):
    """Sends a little more than the limit, ten to a batch and, for FIFO, ten to a group."""

    def send(worker):
        fast = Fast(server)
        for batch in range(worker, IN_FLIGHT // 10 + 1, 2):
            entries = [{"Id": str(i), "MessageBody": f"{batch}-{i}"} for i in range(10)]
            if fifo:
                for entry in entries:
                    entry["MessageGroupId"] = str(batch)
            answer = fast.call("SendMessageBatch", {"QueueUrl": queue.url, "Entries": entries})
            assert len(answer["Successful"]) == 10

    in_parallel(send)


def take_all(server, queue):
    def receive(worker):
        fast = Fast(server)
        payload = {"QueueUrl": queue.url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 3600}
        return sum(len(fast.call("ReceiveMessage", payload)["Messages"]) for _ in range(IN_FLIGHT // 20))

    assert sum(in_parallel(receive)) == IN_FLIGHT
    assert queue.counts() == (10, IN_FLIGHT, 0)


def in_parallel(work):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, range(2)))


@pytest.mark.slow
def test_a_standard_queue_says_over_limit(server, queue):
    fill(server, queue, fifo=False)
    take_all(server, queue)
    with refused("OverLimit", http=403):
        queue.receive()
    queue.send("sending goes on")
    assert queue.counts() == (11, IN_FLIGHT, 0)


@pytest.mark.slow
def test_a_fifo_queue_gives_nothing(server, fifo):
    fill(server, fifo, fifo=True)
    take_all(server, fifo)
    assert fifo.receive() == [], "no error, an empty answer"
