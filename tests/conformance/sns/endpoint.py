"""An HTTP endpoint that subscribes to topics: it keeps what is posted and answers what the test says."""

import base64
import hashlib
import http.server
import json
import pathlib
import queue
import ssl
import threading
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
# A certificate for localhost and 127.0.0.1 that nobody trusts, unless it is told to.
CERTIFICATE, KEY = HERE / "localhost.pem", HERE / "localhost-key.pem"
TIMEOUT_SECONDS = 60


class Post:
    """One request, in the order of arrival."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Endpoint:
    """Listens on the loopback as long as the `with` lasts."""

    def __init__(self, *, tls=False):
        self.posts = queue.Queue()
        # Statuses for the next posts; then `status`.
        self.next_statuses, self.status = [], 200
        # Posts wait for this before they are answered.
        self.open = threading.Event()
        self.open.set()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                endpoint.posts.put(Post(self.path, self.headers, body.decode()))
                status = endpoint.next_statuses.pop(0) if endpoint.next_statuses else endpoint.status
                endpoint.open.wait(TIMEOUT_SECONDS)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE, KEY)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.protocol = "https" if tls else "http"
        self.url = f"{self.protocol}://127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.open.set()
        self.server.shutdown()
        self.server.server_close()

    def next(self) -> Post:
        """The next post; waits for it."""
        return self.posts.get(timeout=TIMEOUT_SECONDS)

    def subscribe(self, sns, topic, **attributes):
        """Subscribes and confirms; returns the subscription's ARN."""
        values = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
        answer = sns.subscribe(TopicArn=topic, Protocol=self.protocol, Endpoint=self.url, Attributes=values)
        assert answer["SubscriptionArn"] == "pending confirmation"
        token = self.next().json["Token"]
        return sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"]


def get(url):
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
        return answer.read().decode()


SIGNED = {
    "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
    "SubscriptionConfirmation": ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
}
SIGNED["UnsubscribeConfirmation"] = SIGNED["SubscriptionConfirmation"]


def text_to_sign(message):
    """The developer guide's "Verifying the signatures of Amazon SNS messages"."""
    fields = [name for name in SIGNED[message["Type"]] if name in message]
    return "".join(f"{name}\n{message[name]}\n" for name in fields)


def signature_is_valid(message):
    """Checks the signature with the key of the certificate at SigningCertURL (RFC 8017 section 8.2.2)."""
    assert "/SimpleNotificationService-" in message["SigningCertURL"]
    modulus, exponent = public_key(get(message["SigningCertURL"]))
    signature = base64.b64decode(message["Signature"])
    size = (modulus.bit_length() + 7) // 8
    found = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big")
    name, prefix = {
        "1": ("sha1", "3021300906052b0e03021a05000414"),
        "2": ("sha256", "3031300d060960864801650304020105000420"),
    }[message["SignatureVersion"]]
    digest = bytes.fromhex(prefix) + hashlib.new(name, text_to_sign(message).encode()).digest()
    return found == b"\0\1" + b"\xff" * (size - 3 - len(digest)) + b"\0" + digest


def public_key(pem):
    """Modulus and exponent of a certificate with an RSA key: the one BIT STRING with a SEQUENCE of two numbers."""
    der = ssl.PEM_cert_to_DER_cert(pem)
    at = der.index(bytes.fromhex("06092a864886f70d010101")) + 13  # rsaEncryption and its NULL
    _, bits = element(der, at)
    _, numbers = element(bits, 1)
    rest, modulus = element(numbers, 0)
    _, exponent = element(numbers, rest)
    return int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")


def element(der, at):
    """The end and the contents of the DER element at a place."""
    length, at = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(der[at : at + count], "big"), at + count
    return at + length, der[at : at + length]
