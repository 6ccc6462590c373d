"""Conversations with the API; the client checks each request and each answer against the document."""

import http.client
import json
import urllib.request

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from conftest import Api, Problem

from kyu_server import Server


def test_a_job_from_send_to_acknowledgement(api):
    dead = api.queue()
    queue = api.queue({"dead_letter": {"queue": dead, "max_receives": 2}})
    sent = api.send(queue, "job", attributes={"kind": "mail"}, priority=3)
    (message,) = api.receive(queue)
    assert (message["message_id"], message["body"], message["receive_count"]) == (sent["message_id"], "job", 1)
    assert message["attributes"] == {"kind": "mail"}
    assert api.settle(queue, message, outcome="failed", error="no route") == ["done"]
    (message,) = api.receive(queue)
    assert api.settle(queue, message) == ["done"]
    assert api.settle(queue, message) == ["gone"]
    totals = api.get(f"/v1/queues/{queue}/stats")["totals"]
    assert (totals["sent"], totals["received"], totals["acked"]) == (1, 2, 1)


def test_batches_pages_and_atomic_groups(api):
    queue, other = api.queue(), api.queue()
    batch = {"messages": [{"body": str(at)} for at in range(1000)]}
    results = api.post(f"/v1/queues/{queue}/messages/batch", batch)["results"]
    assert len({one["message_id"] for one in results}) == 1000
    messages = api.receive(queue, 1000)
    assert [message["body"] for message in messages] == [str(at) for at in range(1000)]
    items = [{"receipt": message["receipt"], "outcome": "ack"} for message in messages[:-1]]
    assert {one["status"] for one in api.post(f"/v1/queues/{queue}/settle", {"items": items})["results"]} == {"done"}
    group = {
        "commands": [
            {"op": "settle", "queue": queue, "items": [{"receipt": messages[-1]["receipt"], "outcome": "ack"}]},
            {"op": "send", "queue": other, "messages": [{"body": "next"}]},
        ]
    }
    api.post("/v1/atomic", group)
    with pytest.raises(Problem) as refused:
        api.post("/v1/atomic", group)
    assert (refused.value.code, refused.value.body["at"]) == ("item_refused", 0)
    assert [message["body"] for message in api.receive(other)] == ["next"]
    names, cursor = [], ""
    while cursor is not None:
        page = api.get(f"/v1/queues?limit=1&stats=false{cursor and '&cursor=' + cursor}")
        names += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert {queue, other} <= set(names)


def test_history_explain_pause_and_policies(api):
    retry = {"backoff": {"kind": "exponential", "first_ms": 60000, "factor_percent": 200, "max_ms": 600000}}
    queue = api.queue({"retry": retry, "lanes": {"max_in_flight": 1}, "guard": {"breaker": {}}})
    seq = api.send(queue, lane="a")["seq"]
    api.send(queue, lane="a")
    (message,) = api.receive(queue, consumer="worker-1")
    explained = api.get(f"/v1/queues/{queue}/messages/{seq + 1}/explain")
    assert [reason["reason"] for reason in explained["reasons"]] == ["lane_in_flight"]
    api.settle(queue, message, outcome="failed", error="busy")
    history = api.get(f"/v1/queues/{queue}/messages/{seq}/history")
    (attempt,) = history["past_attempts"]
    assert (attempt["end"], attempt["error"], attempt["consumer"]) == ("failed", "busy", "worker-1")
    assert history["hold"]["reason"] == "backoff"
    assert api.post(f"/v1/queues/{queue}/pause") == {"paused": True, "changed": True}
    assert api.receive(queue) == []
    assert api.get(f"/v1/queues/{queue}/lanes")["items"][0]["key"] == "a"
    api.post(f"/v1/queues/{queue}/resume")


def test_everything_survives_a_crash(own_server):
    api = Api(own_server.url)
    queue = api.queue({"retry": {"backoff": {"kind": "fixed", "delay_ms": 7}}})
    api.send(queue, "kept")
    claim = api.post("/v1/ledger/once/claim", {"lease_ms": 60000, "holder": "h"})
    api.post("/v1/ledger/once/complete", {"token": claim["token"], "result": "paid", "keep_ms": 60000})
    cron = {"kind": "cron", "expression": "0 3 * * *", "time_zone": "Europe/Berlin"}
    schedule = api.put("/v1/schedules/nightly", {"rule": cron, "target": {"queue": queue}})
    before = api.get(f"/v1/queues/{queue}")
    api = Api(own_server.crash().url)
    assert api.get(f"/v1/queues/{queue}") == before
    assert [message["body"] for message in api.receive(queue)] == ["kept"]
    assert api.post("/v1/ledger/once/claim", {"lease_ms": 60000})["result"] == "paid"
    assert api.get("/v1/schedules/nightly") == schedule
    assert api.get("/v1/server")["epoch"] == 2


def test_one_queue_through_two_doors(api, server):
    """What boto3 sends comes out here, and the other way round."""
    sqs = boto3.client(
        "sqs", endpoint_url=server.url, region_name="us-east-1",
        aws_access_key_id="t", aws_secret_access_key="t", config=Config(retries={"max_attempts": 0}),
    )
    queue = api.queue()
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    attribute = {"n": {"DataType": "Number", "StringValue": "7"}, "b": {"DataType": "Binary", "BinaryValue": b"\xff"}}
    sqs.send_message(QueueUrl=url, MessageBody="from boto3", MessageAttributes=attribute, MessageGroupId="tenant")
    (message,) = api.receive(queue)
    assert (message["body"], message["lane"]) == ("from boto3", "tenant")
    assert message["attributes"] == {
        "n": {"data_type": "Number", "value": "7"},
        "b": {"data_type": "Binary", "value_base64": "/w=="},
    }
    api.settle(queue, message)
    api.send(queue, "from the API", attributes={"a": "text"})
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == "from the API"
    assert message["MessageAttributes"] == {"a": {"DataType": "String", "StringValue": "text"}}
    # Receipts are the same, too.
    assert api.settle(queue, {"receipt": message["ReceiptHandle"]}) == ["done"]


def test_two_writers_and_an_etag(api):
    queue = api.queue()
    etag = api.get(f"/v1/queues/{queue}")["etag"]
    api.put(f"/v1/queues/{queue}", {"delay_ms": 1}, {"If-Match": f'"{etag}"'})
    with pytest.raises(Problem) as late:
        api.put(f"/v1/queues/{queue}", {"delay_ms": 2}, {"If-Match": f'"{etag}"'})
    assert (late.value.status, late.value.code) == (412, "version_conflict")
    assert late.value.body["type"] == "urn:kyu:problem:version_conflict"


def test_a_reader_asks_for_news_only(api):
    """HEAD and 304 have the headers of GET and no body, on a connection that goes on."""
    path = f"/v1/queues/{api.queue()}"
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"))

    def ask(method, **headers):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    status, got, body = ask("GET")
    assert (status, json.loads(body)["etag"]) == (200, got["ETag"].strip('"'))
    status, heads, nothing = ask("HEAD")
    assert (status, nothing, heads["ETag"], heads["Content-Length"]) == (200, b"", got["ETag"], str(len(body)))
    status, heads, nothing = ask("GET", **{"If-None-Match": f'"0-0", {got["ETag"]}'})
    assert (status, nothing, heads["ETag"]) == (304, b"", got["ETag"])
    assert ask("GET")[2] == body


def test_credentials_are_basic_or_sigv4():
    with Server(env={"KYU_ACCESS_KEY_ID": "AKID", "KYU_SECRET_ACCESS_KEY": "secret"}) as server:
        api = Api(server.url, "AKID:secret")
        assert api.get("/v1/queues")["items"] == []
        for wrong in (None, "AKID:wrong", "OTHER:secret"):
            api.credentials = wrong
            with pytest.raises(Problem) as refused:
                api.get("/v1/queues")
            assert (refused.value.status, refused.value.code) == (401, "unauthenticated")
        signed = AWSRequest("GET", server.url + "/v1/queues")
        SigV4Auth(Credentials("AKID", "secret"), "kyu", "us-east-1").add_auth(signed)
        request = urllib.request.Request(signed.url, headers=dict(signed.headers))
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200


def test_browsers_of_other_pages_are_kept_out(api):
    for headers in ({"Origin": "https://example.com"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
        status, _, body = api.raw("GET", "/v1/queues", headers=headers)
        assert (status, body["code"]) == (403, "forbidden"), headers
    status, _, body = api.raw("POST", "/v1/queues/q/purge", {}, {"Content-type": "text/plain"})
    assert status in (400, 404, 415), body
