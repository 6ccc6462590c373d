"""The Query/XML protocol on the wire: forms, GETs on a queue's URL, flat lists, XML answers."""

import base64
import re

import pytest
from clients import ACCOUNT, QUERY_NAMESPACE, json_call, query_call, send
from conftest import unique

VERSION = {"Version": "2012-11-05"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture()
def call(server):
    """A Query call to the root of the server."""
    return lambda action, **parameters: query_call(server.url, {"Action": action, **VERSION, **parameters})


@pytest.fixture()
def get(queue):
    """A Query call by GET on the queue's URL."""

    def get(action=None, headers=None, **parameters):
        action = {"Action": action} if action else {}
        return query_call(queue.url, {**action, **parameters}, method="GET", headers=headers)

    return get


def dotted(**parameters):
    """Python names for the dotted ones: Attribute_1_Name is Attribute.1.Name."""
    return {name.replace("_", "."): value for name, value in parameters.items()}


def names(element):
    return [child.tag.removeprefix(QUERY_NAMESPACE) for child in element]


def assert_error(answer, code, message, status=400):
    assert answer.status == status, answer.text
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.find("Error/Type") == "Sender", answer.text
    assert answer.find("Error/Code") == code, answer.text
    assert answer.find("Error/Message") == message, answer.text
    root = answer.xml()
    assert names(root) == ["Error", "RequestId"]
    assert names(root[0]) == ["Type", "Code", "Message", "Detail"]


def test_an_answer(call, queue):
    answer = call("SendMessage", QueueUrl=queue.url, MessageBody="hello")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/xml")
    root = answer.xml()
    assert root.tag == QUERY_NAMESPACE + "SendMessageResponse"
    assert names(root) == ["SendMessageResult", "ResponseMetadata"]
    assert answer.find("MD5OfMessageBody") == "5d41402abc4b2a76b9719d911017c592"
    assert answer.find("ResponseMetadata/RequestId")


def test_an_answer_without_a_result(call, queue):
    root = call("DeleteQueue", QueueUrl=queue.url).xml()
    assert root.tag == QUERY_NAMESPACE + "DeleteQueueResponse"
    assert names(root) == ["ResponseMetadata"]


def test_an_empty_receive(get):
    answer = get("ReceiveMessage")
    assert answer.status == 200
    result = answer.xml().find(QUERY_NAMESPACE + "ReceiveMessageResult")
    assert result is not None and len(result) == 0 and not result.text


def test_send_and_receive_by_get(get):
    assert get("SendMessage", MessageBody="foobar").status == 200
    answer = get("ReceiveMessage")
    assert "<Body>foobar</Body>" in answer.text
    assert answer.find("ReceiveMessageResult/Message/MD5OfBody") == "3858f62230ac3c915f300c664312c63f"


def test_post_of_a_form_to_the_queue_s_url(queue):
    assert query_call(queue.url, {"Action": "SendMessage", "MessageBody": "posted"}).status == 200
    assert queue.bodies() == ["posted"]


@pytest.mark.parametrize("body", ["<a>&amp;\"'</a>", "\r\n\t x \r", "ünïcödé \U0001f600", "]]>", "a+b %2B&c=d"])
def test_bodies_survive_xml(call, queue, body):
    assert call("SendMessage", QueueUrl=queue.url, MessageBody=body).status == 200
    answer = call("ReceiveMessage", QueueUrl=queue.url)
    assert answer.find("ReceiveMessageResult/Message/Body") == body


def test_attributes_of_a_queue(get):
    answer = get("GetQueueAttributes", **dotted(AttributeName_1="All"))
    pairs = {
        attribute.findtext(QUERY_NAMESPACE + "Name"): attribute.findtext(QUERY_NAMESPACE + "Value")
        for attribute in answer.xml()[0]
    }
    assert pairs["VisibilityTimeout"] == "30"
    assert pairs["QueueArn"].startswith("arn:aws:sqs:us-east-1:")
    assert "<Attribute><Name>VisibilityTimeout</Name><Value>30</Value></Attribute>" in answer.text


def test_one_attribute_of_a_queue(get):
    answer = get("GetQueueAttributes", **dotted(AttributeName_1="QueueArn"))
    assert "QueueArn" in answer.text and "VisibilityTimeout" not in answer.text


def test_create_with_lists(call, sqs):
    name = unique()
    answer = call(
        "CreateQueue",
        QueueName=name,
        **dotted(
            Attribute_1_Name="VisibilityTimeout", Attribute_1_Value="7", Attribute_2_Name="DelaySeconds",
            Attribute_2_Value="3", Tag_1_Key="team", Tag_1_Value="bank",
        ),
    )  # fmt: skip
    url = answer.find("CreateQueueResult/QueueUrl")
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["VisibilityTimeout"], found["DelaySeconds"]) == ("7", "3")
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "bank"}


def test_message_attributes(call, queue):
    binary = base64.b64encode(b"\x00\xff").decode()
    sent = call(
        "SendMessage",
        QueueUrl=queue.url,
        MessageBody="x",
        **{
            "MessageAttribute.1.Name": "text",
            "MessageAttribute.1.Value.DataType": "String",
            "MessageAttribute.1.Value.StringValue": "value",
            "MessageAttribute.2.Name": "bytes",
            "MessageAttribute.2.Value.DataType": "Binary",
            "MessageAttribute.2.Value.BinaryValue": binary,
        },
    )
    assert sent.status == 200, sent.text
    answer = call("ReceiveMessage", QueueUrl=queue.url, **{"MessageAttributeName.1": "All"})
    assert answer.find("Message/MD5OfMessageAttributes") == sent.find("MD5OfMessageAttributes")
    found = {
        attribute.findtext(QUERY_NAMESPACE + "Name"): attribute.find(QUERY_NAMESPACE + "Value")
        for attribute in answer.xml().iter(QUERY_NAMESPACE + "MessageAttribute")
    }
    assert found["text"].findtext(QUERY_NAMESPACE + "StringValue") == "value"
    assert found["bytes"].findtext(QUERY_NAMESPACE + "BinaryValue") == binary


def test_a_batch_and_its_failures(call, queue):
    queue.set(MaximumMessageSize="1024")
    answer = call(
        "SendMessageBatch",
        QueueUrl=queue.url,
        **{
            "SendMessageBatchRequestEntry.1.Id": "good",
            "SendMessageBatchRequestEntry.1.MessageBody": "x",
            "SendMessageBatchRequestEntry.2.Id": "bad",
            "SendMessageBatchRequestEntry.2.MessageBody": "x" * 1025,
        },
    )
    assert answer.find("SendMessageBatchResultEntry/Id") == "good"
    assert answer.find("BatchResultErrorEntry/Id") == "bad"
    assert answer.find("BatchResultErrorEntry/SenderFault") == "true"
    assert answer.find("BatchResultErrorEntry/Code") == "InvalidParameterValue"


def test_batches_of_delete_and_change(call, queue):
    queue.send_batch("a", "b")
    first, second = (m["ReceiptHandle"] for m in queue.receive(10))
    changed = call(
        "ChangeMessageVisibilityBatch",
        QueueUrl=queue.url,
        **{
            "ChangeMessageVisibilityBatchRequestEntry.1.Id": "c",
            "ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle": first,
            "ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout": "60",
        },
    )
    assert changed.find("ChangeMessageVisibilityBatchResultEntry/Id") == "c"
    deleted = call(
        "DeleteMessageBatch",
        QueueUrl=queue.url,
        **{
            "DeleteMessageBatchRequestEntry.1.Id": "x",
            "DeleteMessageBatchRequestEntry.1.ReceiptHandle": first,
            "DeleteMessageBatchRequestEntry.2.Id": "y",
            "DeleteMessageBatchRequestEntry.2.ReceiptHandle": second,
        },
    )
    assert len(list(deleted.xml().iter(QUERY_NAMESPACE + "DeleteMessageBatchResultEntry"))) == 2
    assert queue.counts() == (0, 0, 0)


def test_queue_url_of_another_queue_in_the_parameters(get, new_queue):
    other = new_queue()
    answer = get("GetQueueAttributes", QueueUrl=other.url, **dotted(AttributeName_1="QueueArn"))
    assert other.name in answer.text


def test_get_queue_url_on_a_queue_s_url(get, queue, new_queue):
    other = new_queue()
    for wanted in (queue, other):
        answer = get("GetQueueUrl", QueueName=wanted.name, QueueOwnerAWSAccountId=ACCOUNT)
        assert answer.find("GetQueueUrlResult/QueueUrl") == wanted.url


def test_delete_queue_by_get(get, queue):
    answer = get("DeleteQueue")
    assert answer.status == 200 and "<DeleteQueueResponse " in answer.text
    assert_error(
        get("GetQueueAttributes", **dotted(AttributeName_1="QueueArn")),
        "AWS.SimpleQueueService.NonExistentQueue",
        "The specified queue does not exist for this wsdl version.",
    )


@pytest.mark.parametrize("action", ["CreateQueue", "ListQueues", "FooBar"])
def test_actions_that_a_queue_s_url_does_not_have(get, action):
    assert_error(
        get(action, QueueName="x"), "InvalidAction", f"The action {action} is not valid for this endpoint."
    )


def test_unknown_action_at_the_root(call):
    assert_error(call("FooBar"), "InvalidAction", "The action FooBar is not valid for this endpoint.")


def test_no_action_on_a_queue_s_url(get):
    for headers in ({}, {"Accept": "application/json"}):
        answer = get(headers=headers)
        assert answer.status == 404
        assert "<UnknownOperationException" in answer.text


def test_a_missing_parameter(get):
    assert_error(get("SendMessage"), "MissingParameter", "The request must contain the parameter MessageBody.")


def test_an_unknown_attribute(get):
    answer = get("GetQueueAttributes", **dotted(AttributeName_1="Foobar"))
    assert_error(answer, "InvalidAttributeName", "Unknown Attribute Foobar.")


def test_a_purge_too_many_has_status_403(own_server):
    server = own_server(env={"KYU_SQS_PURGE_WAIT_S": "60"})
    url = query_call(server.url, {"Action": "CreateQueue", "QueueName": "q"}).find("QueueUrl")
    assert query_call(url, {"Action": "PurgeQueue"}).status == 200
    assert_error(
        query_call(url, {"Action": "PurgeQueue"}),
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        "Only one PurgeQueue operation on q is allowed every 60 seconds.",
        403,
    )


@pytest.mark.parametrize("value", ["soon", "1.5", "", "99999999999999999999"])
def test_numbers_that_are_none(call, queue, value):
    answer = call("SendMessage", QueueUrl=queue.url, MessageBody="x", DelaySeconds=value)
    assert answer.status == 400, answer.text
    assert answer.find("Error/Type") == "Sender"
    assert queue.counts() == (0, 0, 0)


def test_json_answers_by_accept(server, queue):
    accept = {"Accept": "application/json"}
    listed = query_call(server.url, {"Action": "ListQueues", **VERSION}, method="GET", headers=accept)
    assert listed.status == 200
    assert queue.url in str(listed.json()["ListQueuesResponse"])
    plain = query_call(server.url, {"Action": "ListQueues", **VERSION}, method="GET")
    assert "<ListQueuesResponse" in plain.text
    queue.send("body\r")
    received = query_call(queue.url, {"Action": "ReceiveMessage"}, method="GET", headers=accept).json()
    assert received["ReceiveMessageResponse"]["ReceiveMessageResult"]["messages"][0]["Body"] == "body\r"
    asked = {"Action": "GetQueueAttributes", "AttributeName.1": "All"}
    found = query_call(queue.url, asked, method="GET", headers=accept).json()
    attributes = found["GetQueueAttributesResponse"]["GetQueueAttributesResult"]["Attributes"]
    assert {"Name": "QueueArn", "Value": queue.arn} in attributes


def test_json_errors_by_accept(get):
    answer = get("ListQueues", headers={"Accept": "application/json"})
    assert answer.status == 400
    error = answer.json()["Error"]
    assert error["Code"] == "InvalidAction"
    assert error["Message"] == "The action ListQueues is not valid for this endpoint."


def test_both_protocols_see_one_queue(server, call, queue):
    call("SendMessage", QueueUrl=queue.url, MessageBody="from query")
    answer = json_call(server.url, "ReceiveMessage", {"QueueUrl": queue.url})
    assert answer.json()["Messages"][0]["Body"] == "from query"


@pytest.mark.parametrize(
    "body",
    [b"", b"&&&", b"Action", b"=x", b"Action=%zz", b"Action=SendMessage&MessageBody=%ff%fe", b"\x00" * 100,
     b"Action=SendMessage&" + b"&".join(b"Attribute.%d.Name=x" % i for i in range(5000)),
     b"Action=CreateQueue&QueueName=x&Attribute.99999999999.Name=VisibilityTimeout"],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
def test_forms_that_are_none(server, body):
    answer = send(server.url + "/", headers=FORM, body=body)
    assert 400 <= answer.status < 500, answer.text


def test_request_ids_differ(call):
    ids = {call("ListQueues").find("ResponseMetadata/RequestId") for _ in range(3)}
    assert len(ids) == 3 and all(re.fullmatch(r"[0-9a-f-]{36}", i) for i in ids)
