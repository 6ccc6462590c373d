// SNS with the JavaScript v3 SDK, as it is, against a real server at $KYU_SQS_URL.
import assert from "node:assert/strict";
import { createVerify, randomUUID, X509Certificate } from "node:crypto";
import { createServer } from "node:http";
import { test } from "node:test";
import {
  ConfirmSubscriptionCommand,
  CreateTopicCommand,
  GetSubscriptionAttributesCommand,
  NotFoundException,
  PublishBatchCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
} from "@aws-sdk/client-sns";
import { CreateQueueCommand, GetQueueAttributesCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const endpoint = process.env.KYU_SQS_URL;
assert.ok(endpoint, "set KYU_SQS_URL");
const options = {
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  maxAttempts: 1,
};
const sns = new SNSClient(options);
const sqs = new SQSClient(options);

test("a topic, a subscription, a publish, a batch", async () => {
  const name = `js-${randomUUID().slice(0, 12)}`;
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: name }));
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name }));
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }));
  const { SubscriptionArn } = await sns.send(
    new SubscribeCommand({
      TopicArn,
      Protocol: "sqs",
      Endpoint: Attributes.QueueArn,
      Attributes: { FilterPolicy: JSON.stringify({ kind: ["wanted"] }) },
    }),
  );
  const found = await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
  assert.equal(found.Attributes.FilterPolicyScope, "MessageAttributes");
  const kind = (StringValue) => ({ kind: { DataType: "String", StringValue } });
  const published = await sns.send(
    new PublishCommand({ TopicArn, Message: "one", MessageAttributes: kind("wanted") }),
  );
  await sns.send(new PublishCommand({ TopicArn, Message: "two", MessageAttributes: kind("other") }));
  const batch = await sns.send(
    new PublishBatchCommand({
      TopicArn,
      PublishBatchRequestEntries: [{ Id: "a", Message: "three", MessageAttributes: kind("wanted") }],
    }),
  );
  assert.equal(batch.Successful.length, 1);
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
  const envelopes = Messages.map((message) => JSON.parse(message.Body));
  assert.deepEqual(envelopes.map((envelope) => envelope.Message).sort(), ["one", "three"]);
  assert.ok(envelopes.some((envelope) => envelope.MessageId === published.MessageId));
});

test("errors have their classes", async () => {
  const TopicArn = "arn:aws:sns:us-east-1:000000000000:nobody-made-it";
  await assert.rejects(sns.send(new PublishCommand({ TopicArn, Message: "x" })), NotFoundException);
});

/// Posts that an endpoint on the loopback gets, one at a time.
async function subscribedEndpoint() {
  const posts = [];
  const waiting = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    response.end();
    const next = waiting.shift();
    next ? next(body) : posts.push(body);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    next: async () => JSON.parse(posts.shift() ?? (await new Promise((arrived) => waiting.push(arrived)))),
    close: () => server.close(),
  };
}

test("an HTTP endpoint confirms, and OpenSSL agrees with the signatures", async () => {
  const Attributes = { SignatureVersion: "2" };
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: `js-${randomUUID()}`, Attributes }));
  const subscriber = await subscribedEndpoint();
  const subscribe = { TopicArn, Protocol: "http", Endpoint: subscriber.url };
  const pending = await sns.send(new SubscribeCommand(subscribe));
  assert.equal(pending.SubscriptionArn, "pending confirmation");
  const asked = await subscriber.next();
  await sns.send(new ConfirmSubscriptionCommand({ TopicArn, Token: asked.Token }));
  await sns.send(new PublishCommand({ TopicArn, Message: "hello" }));
  const told = await subscriber.next();
  subscriber.close();
  assert.equal(told.Message, "hello");
  const certificate = new X509Certificate(await (await fetch(told.SigningCertURL)).text());
  assert.ok(certificate.verify(certificate.publicKey));
  const asking = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
  const telling = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
  for (const [message, fields] of [
    [asked, asking],
    [told, telling],
  ]) {
    const verify = createVerify("RSA-SHA256");
    for (const field of fields.filter((name) => name in message)) verify.update(`${field}\n${message[field]}\n`);
    assert.equal(message.SignatureVersion, "2");
    assert.ok(verify.verify(certificate.publicKey, message.Signature, "base64"));
  }
});
