//! The canonical request: the one spelling of a request that both sides sign.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use crate::access::Denied;
use crate::http::{Head, header};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// The spellings of a path that count as signed. The path on the wire is encoded once, and services
/// other than S3 sign it encoded twice; signers that encode only what they send (as AWS' test suite
/// does) sign the other spelling, where there is a difference.
pub(super) fn paths(on_the_wire: &str) -> Vec<String> {
    let normal = normalized(on_the_wire);
    let twice = percent_encode(normal.as_bytes(), RESERVED_IN_PATH).to_string();
    let decoded: Cow<'_, [u8]> = percent_decode_str(&normal).into();
    let once = percent_encode(&decoded, RESERVED_IN_PATH).to_string();
    if once == twice { vec![twice] } else { vec![twice, once] }
}

/// A path without empty segments and `.`, and without what a `..` takes back (RFC 3986 section
/// 5.2.4, as AWS has it for all services but S3). A slash at the end stays.
fn normalized(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// SHA-256 of the canonical request, in hex, with the path as it was signed.
pub(super) fn hash(
    head: &Head,
    path: &str,
    signed_headers: &str,
    body: &[u8],
) -> Result<String, Denied> {
    let mut text = String::with_capacity(512);
    text.push_str(head.method.as_str());
    text.push('\n');
    text.push_str(path);
    text.push('\n');
    push_query(&mut text, head.uri.query().unwrap_or(""));
    text.push('\n');
    for name in signed_headers.split(';') {
        push_header(&mut text, head, name)?;
    }
    text.push('\n');
    text.push_str(signed_headers);
    text.push('\n');
    let body_hash = hex(&Sha256::digest(body));
    text.push_str(match declared_body_hash(head) {
        // The signature covers the declared hash, so it must be the true one.
        Some(declared) if declared != body_hash => return Err(Denied::WrongSignature),
        _ => &body_hash,
    });
    Ok(hex(&Sha256::digest(text.as_bytes())))
}

fn declared_body_hash(head: &Head) -> Option<&str> {
    head.headers.get("x-amz-content-sha256").and_then(|hash| hash.to_str().ok())
}

/// Pairs, decoded and encoded afresh, in byte order; without the signature itself.
fn push_query(text: &mut String, query: &str) {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encode_afresh(name), encode_afresh(value)))
        .collect();
    pairs.sort();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
}

fn encode_afresh(text: &str) -> String {
    let decoded: Cow<'_, [u8]> = percent_decode_str(text).into();
    percent_encode(&decoded, RESERVED).to_string()
}

/// `name:value` with runs of spaces as one; several values are joined by commas.
fn push_header(text: &mut String, head: &Head, name: &str) -> Result<(), Denied> {
    text.push_str(name);
    text.push(':');
    let mut values = head.headers.get_all(name).iter();
    let authority = head.uri.authority().map(|authority| authority.as_str());
    match values.next() {
        Some(value) => push_collapsed(text, value.as_bytes()),
        None if name == header::HOST.as_str() => text.push_str(authority.unwrap_or("")),
        None => {
            return Err(Denied::Incomplete(format!(
                "Authorization header names the header '{name}', which the request does not have."
            )));
        }
    }
    for value in values {
        text.push(',');
        push_collapsed(text, value.as_bytes());
    }
    text.push('\n');
    Ok(())
}

fn push_collapsed(text: &mut String, value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    for (at, word) in value.split_ascii_whitespace().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
