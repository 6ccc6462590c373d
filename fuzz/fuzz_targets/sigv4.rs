//! Signatures in the header and in the query, down to the comparison.
#![no_main]

use kyu_door::access::{Access, Credential};

libfuzzer_sys::fuzz_target!(|input: (&str, &str, &str, &[u8])| {
    let (authorization, uri, date, body) = input;
    let request = hyper::Request::post(uri)
        .header("host", "localhost")
        .header("x-amz-date", date)
        .header("authorization", authorization);
    // What hyper itself refuses never comes to us.
    let Ok(request) = request.body(()) else { return };
    let head = request.into_parts().0;
    let key = Credential {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "secret".into(),
        user: None,
    };
    let access = Access::new(vec![key]);
    let admitted = access.admit(&head, body, ([127, 0, 0, 1], 1).into(), 1_795_233_600);
    assert!(admitted.is_err(), "nobody guesses a signature");
});
