"""AWS JSON 1.0 on the wire: headers, error bodies, and requests that no SDK would send."""

import json

import pytest
from clients import ACCOUNT, json_call, send, sqs_client

JSON = "application/x-amz-json-1.0"


def kind(answer):
    """The error's name without its namespace."""
    return answer.json()["__type"].rsplit("#", 1)[-1]


def test_an_answer(server, queue):
    answer = json_call(server.url, "SendMessage", {"QueueUrl": queue.url, "MessageBody": "hello"})
    assert answer.status == 200
    assert answer.headers["content-type"] == JSON
    assert answer.headers["x-amzn-requestid"]
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.json()["MD5OfMessageBody"] == "5d41402abc4b2a76b9719d911017c592"


def test_an_answer_without_members(server, queue):
    answer = json_call(server.url, "TagQueue", {"QueueUrl": queue.url, "Tags": {"a": "b"}})
    assert answer.status == 200
    assert answer.body in (b"", b"{}")


def test_an_error(server):
    missing = {"QueueUrl": f"{server.url}/{ACCOUNT}/no-such-queue"}
    answer = json_call(server.url, "ReceiveMessage", missing)
    assert answer.status == 400
    assert answer.headers["content-type"] == JSON
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert answer.json() == {
        "__type": "com.amazonaws.sqs#QueueDoesNotExist",
        "message": "The specified queue does not exist.",
    }


@pytest.mark.json_protocol
def test_boto3_sees_both_names(sqs):
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
        sqs.get_queue_url(QueueName="no-such-queue")
    assert caught.value.response["Error"] == {
        "Code": "AWS.SimpleQueueService.NonExistentQueue",
        "Message": "The specified queue does not exist.",
        "QueryErrorCode": "QueueDoesNotExist",
        "Type": "Sender",
    }


def test_a_parameter_value_error(server, queue):
    answer = json_call(server.url, "ReceiveMessage", {"QueueUrl": queue.url, "MaxNumberOfMessages": 11})
    assert (answer.status, kind(answer)) == (400, "InvalidParameterValueException")
    assert answer.headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"


def test_missing_parameters(server, queue):
    for action, parameters, missing in [
        ("SendMessage", {"MessageBody": "x"}, "QueueUrl"),
        ("SendMessage", {"QueueUrl": queue.url}, "MessageBody"),
        ("CreateQueue", {}, "QueueName"),
        ("DeleteMessage", {"QueueUrl": queue.url}, "ReceiptHandle"),
    ]:
        answer = json_call(server.url, action, parameters)
        assert (answer.status, kind(answer)) == (400, "MissingRequiredParameterException"), answer.text
        assert answer.json()["message"] == f"The request must contain the parameter {missing}."


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"nul", b'{"QueueUrl": }', b"\xff\xfe", b'{"a":1}{"b":2}', b"[" * 100_000],
    ids=lambda body: repr(body[:12]),
)
def test_bodies_that_are_not_a_json_object(server, body):
    answer = json_call(server.url, "SendMessage", body)
    assert answer.status == 400, answer.text
    # An empty body is an empty object to AWS: a parameter is missing.
    assert kind(answer) in ("SerializationException", "MissingRequiredParameterException"), answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"MessageBody": 7},
        {"MessageBody": ["x"]},
        {"DelaySeconds": "soon"},
        {"DelaySeconds": 1.5},
        {"DelaySeconds": 2**40},
        {"MessageAttributes": []},
        {"MessageAttributes": {"a": "text"}},
        {"MessageAttributes": {"a": {"DataType": "Binary", "BinaryValue": "no base64!"}}},
    ],
    ids=repr,
)
def test_wrong_types(server, queue, wrong):
    payload = {"QueueUrl": queue.url, "MessageBody": "x", **wrong}
    answer = json_call(server.url, "SendMessage", payload)
    assert answer.status == 400, answer.text
    assert kind(answer) in ("SerializationException", "InvalidParameterValueException"), answer.text
    assert queue.counts() == (0, 0, 0)


def test_null_is_absent(server, queue):
    payload = {"QueueUrl": queue.url, "MessageBody": "x", "DelaySeconds": None, "MessageAttributes": None}
    assert json_call(server.url, "SendMessage", payload).status == 200


def test_unknown_members_are_ignored(server, queue):
    payload = {"QueueUrl": queue.url, "MessageBody": "x", "FromTheFuture": {"a": [1, None]}}
    assert json_call(server.url, "SendMessage", payload).status == 200


@pytest.mark.parametrize("target", ["AmazonSQS.NoSuchAction", "AmazonSQS.", "NoSuchAction", "DynamoDB_20120810.GetItem"])
def test_unknown_actions(server, target):
    answer = json_call(server.url, "", {}, {"X-Amz-Target": target})
    assert answer.status in (400, 404), answer.text
    assert kind(answer) in ("UnknownOperationException", "InvalidAction"), answer.text


def test_surrogates_that_are_alone(server, queue):
    body = json.dumps({"QueueUrl": queue.url, "MessageBody": "@"}).replace("@", "\\ud800").encode()
    answer = json_call(server.url, "SendMessage", body)
    assert answer.status == 400, answer.text


def test_on_the_queue_s_url(server, queue):
    """The PHP SDK sends JSON to the queue URL instead of the root."""
    queue.send("hello")
    answer = json_call(queue.url, "ReceiveMessage", {"QueueUrl": queue.url})
    assert answer.json()["Messages"][0]["Body"] == "hello"


@pytest.mark.json_protocol
def test_a_client_with_the_queue_s_url_as_endpoint(queue):
    sqs = sqs_client(queue.url)
    answer = sqs.receive_message(QueueUrl=queue.url)
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == JSON
    assert "Messages" not in answer


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_other_methods(server, method):
    answer = send(server.url + "/", method=method, headers={"X-Amz-Target": "AmazonSQS.ListQueues"})
    assert 400 <= answer.status < 500


def test_other_content_types(server):
    """Neither a form nor JSON: read as a form (some clients forget the header) or refused."""
    answer = send(server.url + "/", headers={"Content-Type": "text/plain"}, body=b"Action=ListQueues")
    assert answer.status == 200 or 400 <= answer.status < 500
