//! Signatures made by botocore 1.44 and by the AWS SigV4 test suite must verify; any change must not.

use super::*;
use crate::access::Denied;
use crate::http::Head;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2026-11-21T04:00:00Z
const SIGNED_AT_S: u64 = 1_795_233_600;
const BODY: &[u8] = br#"{"QueueUrl":"q"}"#;
const PRESIGNED: &str = "/000000000000/a%20b.fifo?Action=SendMessage&MessageBody=a%20b%2Bc~%2F&Z=\
    &X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Fus-east-1%2Fsqs%2Faws4_request\
    &X-Amz-Date=20261121T040000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
    &X-Amz-Signature=25c81127ebbcea45e3bceb7feeee09578a19fe1a23788f1450f27dc55d89a976";

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Head {
    let mut request = hyper::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn signed_by_botocore() -> Head {
    head(
        "POST",
        "/",
        &[
            ("host", "localhost:9324"),
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "AmazonSQS.SendMessage"),
            ("x-amz-date", "20261121T040000Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/sqs/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
                 Signature=ef4a312f5fd533c98766a94991a4ffb1315ae26ad5c1f4b20991d869c76b7dbc",
            ),
        ],
    )
}

fn check(head: &Head, body: &[u8], now_s: u64) -> Result<(), Denied> {
    let signer = Signer::new(SECRET.into());
    let claim = Claim::of(head)?;
    assert_eq!(claim.access_key_id(), "AKIDEXAMPLE");
    claim.verify(&signer, head, body, now_s)?;
    // The second time the signing key comes from the cache.
    claim.verify(&signer, head, body, now_s)
}

/// The cases of AWS' published suite that concern the path. Those whose path could not be sent as it
/// stands there (a space, a letter beyond ASCII) are sent encoded, as every client must.
#[test]
fn the_aws_suite_paths() {
    const ROOT: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    for (case, path, signature) in [
        ("get-vanilla", "/", ROOT),
        ("get-relative", "/example/..", ROOT),
        ("get-relative-relative", "/example1/example2/../..", ROOT),
        ("get-slash", "//", ROOT),
        ("get-slash-dot-slash", "/./", ROOT),
        (
            "get-slash-pointless-dot",
            "/./example",
            "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
        ),
        (
            "get-slashes",
            "//example//",
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        (
            "get-space",
            "/example%20space/",
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        (
            "get-unreserved",
            "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "get-utf8",
            "/%E1%88%B4",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
    ] {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let sent = [
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            ("authorization", &*authorization),
        ];
        assert_eq!(check(&head("GET", path, &sent), b"", 1_440_938_160), Ok(()), "{case}");
        let other = head("GET", &format!("{path}x"), &sent);
        assert_eq!(check(&other, b"", 1_440_938_160), Err(Denied::WrongSignature), "{case}");
    }
}

#[test]
fn a_signed_post_and_every_change_to_it() {
    assert_eq!(check(&signed_by_botocore(), BODY, SIGNED_AT_S), Ok(()));
    assert_eq!(check(&signed_by_botocore(), b"{}", SIGNED_AT_S), Err(Denied::WrongSignature));
    for (name, value) in [("host", "evil:9324"), ("x-amz-target", "AmazonSQS.DeleteQueue")] {
        let mut changed = signed_by_botocore();
        changed.headers.insert(name, value.parse().unwrap());
        assert_eq!(check(&changed, BODY, SIGNED_AT_S), Err(Denied::WrongSignature), "{name}");
    }
    let mut lied = signed_by_botocore();
    lied.headers.insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    assert_eq!(check(&lied, BODY, SIGNED_AT_S), Err(Denied::WrongSignature));
}

#[test]
fn clocks_may_differ_by_fifteen_minutes() {
    let at = |now_s| check(&signed_by_botocore(), BODY, now_s);
    assert_eq!(at(SIGNED_AT_S + 900), Ok(()));
    assert_eq!(at(SIGNED_AT_S - 900), Ok(()));
    assert!(matches!(at(SIGNED_AT_S + 901), Err(Denied::Expired(_))));
    assert!(matches!(at(SIGNED_AT_S - 901), Err(Denied::Expired(_))));
}

#[test]
fn a_presigned_url_lives_as_long_as_it_says() {
    let host = [("host", "localhost:9324")];
    let presigned = head("GET", PRESIGNED, &host);
    assert_eq!(check(&presigned, b"", SIGNED_AT_S + 60), Ok(()));
    assert!(matches!(check(&presigned, b"", SIGNED_AT_S + 61), Err(Denied::Expired(_))));
    let changed = head("GET", &PRESIGNED.replace("Body=a", "Body=b"), &host);
    assert_eq!(check(&changed, b"", SIGNED_AT_S), Err(Denied::WrongSignature));
    let longer = head("GET", &PRESIGNED.replace("Expires=60", "Expires=99999999"), &host);
    assert!(matches!(check(&longer, b"", SIGNED_AT_S), Err(Denied::Incomplete(_))));
}

#[test]
fn what_is_no_signature() {
    assert_eq!(Claim::of(&head("GET", "/?Action=ListQueues", &[])), Err(Denied::NoSignature));
    let good = signed_by_botocore().headers["authorization"].to_str().unwrap().to_owned();
    for (part, instead) in [
        ("AWS4-HMAC-SHA256", "Basic"),
        ("Credential=", "Credentials="),
        ("SignedHeaders=", "x="),
        ("Signature=ef", "Signature="),
        ("Signature=ef", "Signature=eg"),
        (", Signature=", ", "),
    ] {
        let mut bad = signed_by_botocore();
        let value = good.replacen(part, instead, 1);
        bad.headers.insert("authorization", value.parse().unwrap());
        let claim = Claim::of(&bad);
        assert!(matches!(claim, Err(Denied::Incomplete(_))), "{value}: {claim:?}");
    }
    for (part, instead) in [
        ("/sqs/aws4_request", "/sqs"),
        ("20261121/us", "20261120/us"),
        ("host;", ""),
        ("content-type;host", "host;content-type"),
        ("content-type;", "content-length;content-type;"),
    ] {
        let mut bad = signed_by_botocore();
        bad.headers.insert("authorization", good.replace(part, instead).parse().unwrap());
        let checked = check(&bad, BODY, SIGNED_AT_S);
        assert!(matches!(checked, Err(Denied::Incomplete(_))), "{instead}: {checked:?}");
    }
}

#[test]
fn the_region_that_a_request_names() {
    assert_eq!(claimed_region(&signed_by_botocore()).as_deref(), Some("us-east-1"));
    assert_eq!(claimed_region(&head("GET", PRESIGNED, &[])).as_deref(), Some("us-east-1"));
    let with = |value: &str| claimed_region(&head("GET", "/", &[("authorization", value)]));
    assert_eq!(
        with("AWS4-HMAC-SHA256 Credential=a/2/eu-west-1/sqs/x").as_deref(),
        Some("eu-west-1")
    );
    for none in ["Basic QTpi", "Credential=a", "Credential=a/b/Ä/c", "Credential=a/b//c"] {
        assert_eq!(with(none), None, "{none}");
    }
    assert_eq!(claimed_region(&head("GET", "/?a=b", &[])), None);
}
