//! Transcripts of what concerns phones, mailboxes and apps, and the list of what they would get.

use serde_json::{Value, json};

use super::tests::*;
use crate::test_door::Door;

async fn outbox(door: &Door) -> Vec<Value> {
    let said = door.get("/_sns/outbox", "*/*").await;
    assert_eq!((said.status, said.header("content-type")), (200, "application/json"));
    said.json()["messages"].as_array().unwrap().clone()
}

/// The last message that would have gone out, without its time and its id.
async fn last(door: &Door) -> Value {
    let mut last = outbox(door).await.pop().unwrap();
    let shown = last.as_object_mut().unwrap();
    assert_eq!(shown.remove("messageId").unwrap().as_str().unwrap().len(), 36);
    assert_eq!(shown.remove("sentAt").unwrap().as_str().unwrap().len(), 24);
    last
}

#[tokio::test]
async fn a_phone_is_subscribed_at_once_and_a_mailbox_when_it_confirms() {
    let door = Door::open();
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let to =
        |protocol, endpoint| [("TopicArn", TOPIC), ("Protocol", protocol), ("Endpoint", endpoint)];
    let phone = ok(&door, "Subscribe", &to("sms", "+15551234567")).await;
    let phone = element(&phone, "SubscriptionArn");
    assert!(phone.starts_with(TOPIC), "{phone}");
    for protocol in ["email", "email-json"] {
        let pending = ok(&door, "Subscribe", &to(protocol, "ann@example.com")).await;
        assert_eq!(element(&pending, "SubscriptionArn"), "pending confirmation", "{protocol}");
    }
    let list = ok(&door, "ListSubscriptionsByTopic", &[("TopicArn", TOPIC)]).await;
    assert_eq!(list.matches(">PendingConfirmation<").count(), 2, "{list}");
    let attributes = ok(&door, "GetSubscriptionAttributes", &[("SubscriptionArn", &*phone)]).await;
    assert_eq!(attribute(&attributes, "PendingConfirmation"), "false");
    let principal = attribute(&attributes, "SubscriptionPrincipal");
    assert_eq!(principal, "arn:aws:iam::000000000000:user/local");

    publish(&door, "one", &[("Subject", "s")]).await;
    let expected = json!({
        "protocol": "sms",
        "endpoint": "+15551234567",
        "topicArn": TOPIC,
        "subject": "s",
        "message": "one",
    });
    assert_eq!(last(&door).await, expected);

    // The mailbox finds the question where everything else is, and its link works.
    let question = outbox(&door).await.remove(0);
    assert_eq!(question["protocol"], "email");
    let text = question["message"].as_str().unwrap();
    let link = text.split("http://localhost:9324").nth(1).unwrap().trim();
    let confirmed = door.get(link, "*/*").await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    publish(&door, "two", &[]).await;
    let got = outbox(&door).await;
    let got: Vec<_> = got.iter().filter(|one| one["message"] == "two").collect();
    let mut protocols: Vec<_> = got.iter().map(|one| one["protocol"].as_str().unwrap()).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, ["email", "sms"]);
    let mail = element(&confirmed.body, "SubscriptionArn");
    ok(&door, "Unsubscribe", &[("SubscriptionArn", &mail)]).await;
    // No queue of SQS came of it.
    assert_eq!(door.ok("ListQueues", json!({})).await, json!({}));
    for (protocol, wrong, text) in [
        ("sms", "NAA+15551234567", "Invalid SMS endpoint: NAA+15551234567"),
        ("email", "nobody", "Invalid parameter: Email address"),
        ("application", "x", "Invalid parameter: Application endpoint arn invalid"),
    ] {
        let failure = fails(&door, "Subscribe", &to(protocol, wrong)).await;
        assert_eq!(failure, (400, "InvalidParameter".into(), text.into()));
    }
}

#[tokio::test]
async fn messages_to_one_phone() {
    let door = Door::open();
    for number in ["+1a234", "NAA+15551234567"] {
        let text = format!("PhoneNumber Reason: {number} is not valid to publish to");
        let to = [("PhoneNumber", number), ("Message", "m")];
        assert_eq!(fails(&door, "Publish", &to).await, invalid(&text), "recorded");
    }
    let texts = r#"{"default":"d","sms":"short"}"#;
    let to = [("PhoneNumber", "+15551234567"), ("Message", texts), ("MessageStructure", "json")];
    let id = element(&ok(&door, "Publish", &to).await, "MessageId");
    assert_eq!(outbox(&door).await[0]["messageId"], id);
    let expected = json!({ "protocol": "sms", "endpoint": "+15551234567", "message": "short" });
    assert_eq!(last(&door).await, expected);
}

#[tokio::test]
async fn settings_of_phones() {
    let door = Door::open();
    let all = ok(&door, "GetSMSAttributes", &[]).await;
    assert_eq!(attribute(&all, "MonthlySpendLimit"), "1");
    let set = [
        ("attributes.entry.1.key", "DefaultSMSType"),
        ("attributes.entry.1.value", "Transactional"),
        ("attributes.entry.2.key", "DefaultSenderID"),
        ("attributes.entry.2.value", "kyu"),
    ];
    ok(&door, "SetSMSAttributes", &set).await;
    let one = ok(&door, "GetSMSAttributes", &[("attributes.member.1", "DefaultSenderID")]).await;
    assert_eq!(one.matches("<entry>").count(), 1, "{one}");
    assert_eq!(attribute(&one, "DefaultSenderID"), "kyu");
    for (name, value, text) in [
        ("Nope", "x", "Nope is not a valid attribute"),
        ("DefaultSMSType", "Cheap", "DefaultSMSType is invalid"),
    ] {
        let set = [("attributes.entry.1.key", name), ("attributes.entry.1.value", value)];
        let failure = fails(&door, "SetSMSAttributes", &set).await;
        assert_eq!(failure, (400, "InvalidParameter".into(), text.into()));
    }
    let number = [("phoneNumber", "+15551234567")];
    let out = ok(&door, "CheckIfPhoneNumberIsOptedOut", &number).await;
    assert_eq!(element(&out, "isOptedOut"), "false");
    ok(&door, "OptInPhoneNumber", &number).await;
    let none = ok(&door, "ListPhoneNumbersOptedOut", &[]).await;
    assert!(none.contains("<phoneNumbers></phoneNumbers>"), "{none}");
    ok(&door, "ListOriginationNumbers", &[]).await;
}

#[tokio::test]
async fn the_sandbox_sends_a_code_and_takes_no_other() {
    let door = Door::open();
    let status = ok(&door, "GetSMSSandboxAccountStatus", &[]).await;
    assert_eq!(element(&status, "IsInSandbox"), "true");
    let number = ("PhoneNumber", "+15551234567");
    ok(&door, "CreateSMSSandboxPhoneNumber", &[number]).await;
    let list = ok(&door, "ListSMSSandboxPhoneNumbers", &[]).await;
    assert_eq!((element(&list, "PhoneNumber"), element(&list, "Status")).1, "Pending");
    let sent = last(&door).await["message"].as_str().unwrap().to_owned();
    let code = sent.rsplit(' ').next().unwrap();
    let verify = |code| [number, ("OneTimePassword", code)];
    let wrong = fails(&door, "VerifySMSSandboxPhoneNumber", &verify("x")).await;
    assert_eq!(wrong.1, "VerificationException");
    ok(&door, "VerifySMSSandboxPhoneNumber", &verify(code)).await;
    let list = ok(&door, "ListSMSSandboxPhoneNumbers", &[]).await;
    assert_eq!(element(&list, "Status"), "Verified");
    let again = fails(&door, "CreateSMSSandboxPhoneNumber", &[number]).await;
    assert_eq!(again.1, "UserError");
    ok(&door, "DeleteSMSSandboxPhoneNumber", &[number]).await;
    let gone = fails(&door, "DeleteSMSSandboxPhoneNumber", &[number]).await;
    assert_eq!((gone.0, gone.1.as_str()), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn applications_and_their_devices() {
    let door = Door::open();
    let create = |name, platform| {
        [
            ("Name", name),
            ("Platform", platform),
            ("Attributes.entry.1.key", "PlatformCredential"),
            ("Attributes.entry.1.value", "secret"),
        ]
    };
    let made = ok(&door, "CreatePlatformApplication", &create("app", "GCM")).await;
    let app = element(&made, "PlatformApplicationArn");
    assert_eq!(app, "arn:aws:sns:us-east-1:000000000000:app/GCM/app");
    let of_app = ("PlatformApplicationArn", app.as_str());
    let shown = ok(&door, "GetPlatformApplicationAttributes", &[of_app]).await;
    assert_eq!(attribute(&shown, "Enabled"), "true");
    assert!(!shown.contains("secret"), "{shown}");
    for (name, platform, text) in [
        ("app", "PIGEON", "Platform Reason: PIGEON is not supported"),
        (
            "a b",
            "GCM",
            "a b Reason: must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'",
        ),
        ("", "GCM", " Reason: cannot be empty"),
        (
            "app",
            "APNS",
            "Attributes Reason: PlatformCredential attribute provided without PlatformPrincipal",
        ),
    ] {
        let failure = fails(&door, "CreatePlatformApplication", &create(name, platform)).await;
        assert_eq!(failure, invalid(text));
    }
    let set = [
        of_app,
        ("Attributes.entry.1.key", "EventEndpointCreated"),
        ("Attributes.entry.1.value", "x"),
    ];
    ok(&door, "SetPlatformApplicationAttributes", &set).await;
    let list = ok(&door, "ListPlatformApplications", &[]).await;
    assert_eq!(attribute(&list, "EventEndpointCreated"), "x");

    // The same device again is the same endpoint, with other attributes it is an error (recorded).
    let device = [of_app, ("Token", "device")];
    let arn = element(&ok(&door, "CreatePlatformEndpoint", &device).await, "EndpointArn");
    assert!(arn.starts_with("arn:aws:sns:us-east-1:000000000000:endpoint/GCM/app/"), "{arn}");
    let default = [
        of_app,
        ("Token", "device"),
        ("Attributes.entry.1.key", "Enabled"),
        ("Attributes.entry.1.value", "true"),
    ];
    assert_eq!(element(&ok(&door, "CreatePlatformEndpoint", &default).await, "EndpointArn"), arn);
    let other = [of_app, ("Token", "device"), ("CustomUserData", "x")];
    let text = format!(
        "Token Reason: Endpoint {arn} already exists with the same Token, but different attributes."
    );
    assert_eq!(fails(&door, "CreatePlatformEndpoint", &other).await, invalid(&text));
    let to = ("EndpointArn", arn.as_str());
    let set =
        [to, ("Attributes.entry.1.key", "CustomUserData"), ("Attributes.entry.1.value", "ann")];
    ok(&door, "SetEndpointAttributes", &set).await;
    let shown = ok(&door, "GetEndpointAttributes", &[to]).await;
    for (name, value) in [("CustomUserData", "ann"), ("Enabled", "true"), ("Token", "device")] {
        assert_eq!(attribute(&shown, name), value);
    }
    let wrong = [to, ("Attributes.entry.1.key", "Nope"), ("Attributes.entry.1.value", "x")];
    let text = "Attributes Reason: Invalid attribute name: Nope";
    assert_eq!(fails(&door, "SetEndpointAttributes", &wrong).await, invalid(text));
    let list = ok(&door, "ListEndpointsByPlatformApplication", &[of_app]).await;
    assert_eq!(element(&list, "EndpointArn"), arn);

    let texts = r#"{"default":"d","GCM":"{\"data\":1}"}"#;
    let publish = [("TargetArn", arn.as_str()), ("Message", texts), ("MessageStructure", "json")];
    ok(&door, "Publish", &publish).await;
    let expected =
        json!({ "protocol": "application", "endpoint": arn, "message": r#"{"data":1}"# });
    assert_eq!(last(&door).await, expected);
    ok(&door, "CreateTopic", &[("Name", "t")]).await;
    let subscribe = [("TopicArn", TOPIC), ("Protocol", "application"), ("Endpoint", arn.as_str())];
    assert!(
        element(&ok(&door, "Subscribe", &subscribe).await, "SubscriptionArn").starts_with(TOPIC)
    );
    let disable =
        [to, ("Attributes.entry.1.key", "Enabled"), ("Attributes.entry.1.value", "false")];
    ok(&door, "SetEndpointAttributes", &disable).await;
    let disabled = (400, "EndpointDisabled".into(), "Endpoint is disabled".into());
    assert_eq!(fails(&door, "Publish", &publish).await, disabled);

    for _ in 0..2 {
        ok(&door, "DeleteEndpoint", &[to]).await;
    }
    let gone = |what: &str| (404, "NotFound".to_owned(), format!("{what} does not exist"));
    assert_eq!(fails(&door, "GetEndpointAttributes", &[to]).await, gone("Endpoint"));
    let text = "TargetArn Reason: No endpoint found for the target arn specified";
    assert_eq!(fails(&door, "Publish", &publish).await, invalid(text));
    for _ in 0..2 {
        ok(&door, "DeletePlatformApplication", &[of_app]).await;
    }
    let missing = gone("PlatformApplication");
    assert_eq!(fails(&door, "GetPlatformApplicationAttributes", &[of_app]).await, missing);
    assert_eq!(fails(&door, "CreatePlatformEndpoint", &device).await, missing);
    assert!(!ok(&door, "ListTopics", &[]).await.contains("GCM"));
}

#[tokio::test]
async fn policies_that_are_kept_and_not_enforced() {
    let door = Door::open();
    let policy = r#"{"Name":"p","Version":"2021-06-01","Statement":[]}"#;
    ok(&door, "CreateTopic", &[("Name", "t"), ("DataProtectionPolicy", policy)]).await;
    let resource = ("ResourceArn", TOPIC);
    let shown = ok(&door, "GetDataProtectionPolicy", &[resource]).await;
    assert_eq!(element(&shown, "DataProtectionPolicy"), policy);
    assert!(!ok(&door, "GetTopicAttributes", &[("TopicArn", TOPIC)]).await.contains("kyu:"));
    ok(&door, "PutDataProtectionPolicy", &[resource, ("DataProtectionPolicy", "")]).await;
    let shown = ok(&door, "GetDataProtectionPolicy", &[resource]).await;
    assert_eq!(element(&shown, "DataProtectionPolicy"), "");
    let broken = [resource, ("DataProtectionPolicy", "{")];
    assert_eq!(fails(&door, "PutDataProtectionPolicy", &broken).await.1, "InvalidParameter");

    let archive = r#"{"MessageRetentionPeriod":"30"}"#;
    let set = |topic, value| {
        [("TopicArn", topic), ("AttributeName", "ArchivePolicy"), ("AttributeValue", value)]
    };
    assert_eq!(
        fails(&door, "SetTopicAttributes", &set(TOPIC, archive)).await.1,
        "InvalidParameter"
    );
    let fifo = [
        ("Name", "t.fifo"),
        ("Attributes.entry.1.key", "FifoTopic"),
        ("Attributes.entry.1.value", "true"),
    ];
    ok(&door, "CreateTopic", &fifo).await;
    let topic = &*format!("{TOPIC}.fifo");
    ok(&door, "SetTopicAttributes", &set(topic, archive)).await;
    let shown = ok(&door, "GetTopicAttributes", &[("TopicArn", topic)]).await;
    assert_eq!(attribute(&shown, "ArchivePolicy"), archive);
    let long = r#"{"MessageRetentionPeriod":366}"#;
    assert_eq!(fails(&door, "SetTopicAttributes", &set(topic, long)).await.1, "InvalidParameter");
    ok(&door, "SetTopicAttributes", &set(topic, "{}")).await;
    let shown = ok(&door, "GetTopicAttributes", &[("TopicArn", topic)]).await;
    assert!(!shown.contains("ArchivePolicy"), "{shown}");
}

#[tokio::test]
async fn the_outbox_keeps_the_last_thousand() {
    let door = Door::open();
    for at in 0..1_005 {
        let text = at.to_string();
        let to = [("PhoneNumber", "+15551234567"), ("Message", text.as_str())];
        ok(&door, "Publish", &to).await;
    }
    super::outbox::trim(door.broker()).await.unwrap();
    let kept = outbox(&door).await;
    assert_eq!((kept.len(), &kept[0]["message"]), (1_000, &json!("5")));
}
