"""The ways in which clients write a queue's URL."""

import pytest
from clients import ACCOUNT, json_call, query_call, sqs_client


def test_the_host_of_the_request_comes_back(server):
    for host in ("127.0.0.1", "localhost"):
        sqs = sqs_client(f"http://{host}:{server.port}")
        url = sqs.create_queue(QueueName="by-host")["QueueUrl"]
        assert url == f"http://{host}:{server.port}/{ACCOUNT}/by-host"
        assert url in sqs.list_queues(QueueNamePrefix="by-host")["QueueUrls"]


def test_names_of_the_machine_are_taken_and_others_refused(server, queue):
    def asked(host):
        return json_call(server.url, "GetQueueUrl", {"QueueName": queue.name}, {"Host": host})

    for host in ("kyu.example:8080", "sqs.us-east-1.localhost:4566", "[::1]:1", "192.0.2.1"):
        assert asked(host).json()["QueueUrl"] == f"http://{host}/{ACCOUNT}/{queue.name}"
    # A page whose name was made to point to this machine (DNS rebinding).
    refused = asked("rebound.example:8080")
    assert refused.status == 403 and "--allowed-host" in refused.text, refused.text


def spellings(server, name):
    return [
        f"http://127.0.0.1:{server.port}/{ACCOUNT}/{name}",
        f"http://localhost:{server.port}/{ACCOUNT}/{name}",
        f"http://127.0.0.1/{ACCOUNT}/{name}",
        f"http://aws-local:12345/{ACCOUNT}/{name}",
        f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{name}",
        f"http://127.0.0.1:{server.port}/{ACCOUNT}/{name}/",
        f"http://127.0.0.1:{server.port}/queue/{name}",
        f"http://127.0.0.1:{server.port}/queue/us-east-1/{ACCOUNT}/{name}",
        f"/{ACCOUNT}/{name}",
        name,
    ]


@pytest.mark.parametrize("index", range(10))
def test_spellings_of_the_parameter(server, queue, index):
    url = spellings(server, queue.name)[index]
    answer = json_call(server.url, "SendMessage", {"QueueUrl": url, "MessageBody": "hello"})
    assert answer.status == 200, (url, answer.text)
    assert queue.bodies() == ["hello"]


@pytest.mark.parametrize("path", ["/{account}/{name}", "/queue/{name}", "/queue/us-east-1/{account}/{name}"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_actions_on_the_queue_s_paths(server, queue, path, method):
    """kombu and PHP send the action to the path of the queue."""
    url = server.url + path.format(account=ACCOUNT, name=queue.name)
    answer = query_call(url, {"Action": "SendMessage", "MessageBody": "hello"}, method=method)
    assert answer.status == 200, answer.text
    assert queue.bodies() == ["hello"]


@pytest.mark.parametrize("url", ["", "http://", "nonsense://", "http://host", "http://host/a/b/c/d/e", "x" * 5000])
def test_urls_that_name_no_queue(server, url):
    answer = json_call(server.url, "ReceiveMessage", {"QueueUrl": url})
    assert answer.status in (400, 404), answer.text
    assert answer.json()["__type"].rsplit("#", 1)[-1] in (
        "QueueDoesNotExist",
        "InvalidAddress",
        "InvalidParameterValueException",
        "MissingRequiredParameterException",
    )


def test_fifo_names_in_urls(server, fifo):
    answer = query_call(
        fifo.url, {"Action": "SendMessage", "MessageBody": "m", "MessageGroupId": "g"}, method="GET"
    )
    assert answer.status == 200 and answer.find("SequenceNumber")
