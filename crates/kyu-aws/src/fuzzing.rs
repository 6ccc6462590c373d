//! Ways in for the fuzz targets (`fuzz/`): every parser that reads bytes before it is known who
//! sent them. Not part of the API.

use crate::wire::form;

/// Reads bytes as the body of each kind of request.
pub fn requests(bytes: &[u8]) {
    let _ = crate::actions::decode_all(crate::wire::Input::Json(bytes));
    if let Ok(parameters) = form::parse(&[bytes]) {
        let _ = crate::actions::decode_all(crate::wire::Input::Form(&parameters));
    }
}

/// Reads text where the API takes structured text.
pub fn texts(text: &str) {
    let options = crate::SqsOptions::default();
    let _ = crate::receipt::parse(text);
    let _ = crate::address::of_url(text, &options.region, &options);
    let _ = crate::address::of_arn(text, &options);
    let _ = crate::message::is_xml_text(text);
}
