"""Every action of the current service model is served, and every answer has the model's shape."""

import json
import re

import botocore.session
import pytest
from botocore.validate import ParamValidator
from clients import json_call, query_call, speaks_json, sqs_client

# From botocore's model of the day, written out so that a new action in a newer model is noticed.
ACTIONS = """
AddPermission CancelMessageMoveTask ChangeMessageVisibility ChangeMessageVisibilityBatch CreateQueue
DeleteMessage DeleteMessageBatch DeleteQueue GetQueueAttributes GetQueueUrl ListDeadLetterSourceQueues
ListMessageMoveTasks ListQueues ListQueueTags PurgeQueue ReceiveMessage RemovePermission SendMessage
SendMessageBatch SetQueueAttributes StartMessageMoveTask TagQueue UntagQueue
""".split()


def model():
    return botocore.session.get_session().get_service_model("sqs")


def test_the_model_has_these_actions():
    assert sorted(model().operation_names) == sorted(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_json_protocol_knows_the_action(server, action):
    """An empty request is refused for a parameter that is missing, never for the action itself."""
    answer = json_call(server.url, action, {})
    kind = answer.json().get("__type", "")
    assert "UnknownOperation" not in kind and "InvalidAction" not in kind, answer.text
    required = model().operation_model(action).input_shape.required_members
    assert answer.status == (400 if required else 200), answer.text
    if required:
        assert kind.endswith("MissingRequiredParameterException") or kind.endswith("MissingParameter") or kind.endswith(
            "QueueDoesNotExist"
        ), answer.text


@pytest.mark.parametrize("action", ACTIONS)
def test_the_query_protocol_knows_the_action(server, action):
    answer = query_call(server.url, {"Action": action, "Version": "2012-11-05"})
    code = answer.find("Error/Code") if answer.status != 200 else None
    assert code != "InvalidAction", answer.text
    required = model().operation_model(action).input_shape.required_members
    assert answer.status == (400 if required else 200), answer.text


@pytest.mark.json_protocol
def test_answers_have_no_members_that_the_model_lacks(server, queue):
    """A strict client (Go, Java) must not meet a name or a type that the model does not have."""
    sqs = sqs_client(server.url)
    assert speaks_json(sqs)
    queue.send("m", MessageAttributes={"a": {"DataType": "Binary", "BinaryValue": b"\x00"}})
    url = {"QueueUrl": queue.url}
    asked = {
        "GetQueueAttributes": {**url, "AttributeNames": ["All"]},
        "GetQueueUrl": {"QueueName": queue.name},
        "ListQueues": {},
        "ListQueueTags": url,
        "SendMessage": {**url, "MessageBody": "x"},
        "SendMessageBatch": {**url, "Entries": [{"Id": "a", "MessageBody": "x"}]},
        "ReceiveMessage": {**url, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]},
        "ListDeadLetterSourceQueues": url,
    }
    for action, parameters in asked.items():
        answer = json_call(server.url, action, parameters)
        assert answer.status == 200, answer.text
        shape = model().operation_model(action).output_shape
        # The validator of requests checks names and types of a structure; binary is base64 text on the wire.
        report = ParamValidator().validate(decode_binary(answer.json()), shape)
        assert not report.has_errors() or only_missing(report.generate_report()), report.generate_report()
        assert set(answer.json()) <= set(shape.members), (action, answer.json())


def decode_binary(value):
    """BinaryValue as bytes, as botocore's validator wants it."""
    return json.loads(
        json.dumps(value),
        object_hook=lambda o: {k: v.encode() if k == "BinaryValue" else v for k, v in o.items()},
    )


def only_missing(report):
    """AWS itself leaves an empty `Failed` or `Successful` out, though the model calls it required."""
    return all(
        re.search('Missing required parameter in input: "(Failed|Successful)"', line)
        for line in report.splitlines()
    )
