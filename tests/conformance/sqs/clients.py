"""The clients that the tests speak through: boto3 as it is, and raw signed HTTP below it."""

import dataclasses
import http.client
import json
import urllib.parse
import xml.etree.ElementTree

import boto3
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

REGION = "us-east-1"
ACCOUNT = "000000000000"
QUERY_NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


def sqs_client(url: str, *, access_key="test", secret_key="test", validate=True, pool=50, region=REGION):
    """A plain boto3 client: no retries, so that every answer the server gives is seen.

    `validate=False` switches boto3's own checks off, to send what a careless client would send.
    """
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            retries={"max_attempts": 0},
            parameter_validation=validate,
            max_pool_connections=pool,
            connect_timeout=5,
            read_timeout=60,
        ),
    )


def speaks_json(client) -> bool:
    """False for the old botocore, which speaks the Query/XML protocol."""
    return client.meta.service_model.protocol == "json"


@dataclasses.dataclass
class Response:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def xml(self) -> xml.etree.ElementTree.Element:
        return xml.etree.ElementTree.fromstring(self.body)

    def find(self, path: str) -> str | None:
        """The text at a path of the XML answer; every step is in the SQS namespace."""
        steps = "/".join(QUERY_NAMESPACE + step for step in path.split("/"))
        return self.xml().findtext(".//" + steps)


def send(url: str, *, method="POST", headers=None, body=b"") -> Response:
    """One unsigned HTTP request on a connection of its own."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        target = parts.path or "/"
        if parts.query:
            target += "?" + parts.query
        connection.request(method, target, body=body, headers=headers or {})
        answer = connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def json_call(url: str, action: str, payload, headers=None) -> Response:
    """One unsigned AWS JSON 1.0 request; `payload` is a value, or the bytes to send as they are."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return send(
        url,
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{action}",
            **(headers or {}),
        },
        body=body,
    )


def signed(request: AWSRequest, *, access_key="test", secret_key="test", region=REGION, presign=False) -> AWSRequest:
    """Signs a request with SigV4, in the headers or (`presign`) in the query string."""
    credentials = Credentials(access_key, secret_key)
    if presign:
        SigV4QueryAuth(credentials, "sqs", region, expires=60).add_auth(request)
    else:
        SigV4Auth(credentials, "sqs", region).add_auth(request)
    return request


def transmit(request: AWSRequest) -> Response:
    """Sends a signed request exactly as it was signed."""
    prepared = request.prepare()
    body = prepared.body or b""
    return send(
        prepared.url,
        method=prepared.method,
        headers=dict(prepared.headers.items()),
        body=body.encode() if isinstance(body, str) else body,
    )


def query_call(url: str, parameters: dict, *, method="POST", headers=None, **signing) -> Response:
    """One signed Query-protocol request, by POST (a form) or by GET (a query string)."""
    if method == "GET":
        address = url + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
        request = AWSRequest(method="GET", url=address, headers=headers or {})
    else:
        form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = AWSRequest(
            method="POST",
            url=url,
            data=urllib.parse.urlencode(parameters),
            headers={**form, **(headers or {})},
        )
    return transmit(signed(request, **signing))
