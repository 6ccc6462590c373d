//! From the first byte to ReadyForQuery.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{Limits, Tls};
use super::*;
use crate::wire::scram::client_final;

const SSL: u32 = 80_877_103;
const GSSENC: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

/// Self-signed for `localhost`, made for these tests and valid for a hundred years.
const CERTIFICATE: &str = include_str!("certificate.pem");
const KEY: &str = include_str!("key.pem");

#[tokio::test]
async fn a_session_begins_with_what_drivers_wait_for() {
    let rig = Rig::open().await;
    let mut client = Client::connect(rig.address).await;
    client.packet(SSL, b"").await;
    assert_eq!(client.stream.read_u8().await.unwrap(), b'N');
    client.packet(GSSENC, b"").await;
    assert_eq!(client.stream.read_u8().await.unwrap(), b'N');
    client.startup(&[("user", "u"), ("client_encoding", "'utf-8'"), ("TimeZone", "UTC")]).await;
    let lines = client.until_ready().await;
    assert_eq!(lines[0], "authenticated");
    for status in [
        "status client_encoding=UTF8",
        "status server_encoding=UTF8",
        "status DateStyle=ISO, MDY",
        "status TimeZone=UTC",
        "status IntervalStyle=postgres",
        "status integer_datetimes=on",
        "status standard_conforming_strings=on",
        "status is_superuser=off",
        "status session_authorization=u",
        "status in_hot_standby=off",
        "status default_transaction_read_only=off",
        "status application_name=",
    ] {
        assert!(lines.contains(&status.to_owned()), "{status}: {lines:?}");
    }
    assert_eq!(lines[lines.len() - 2..], ["key", "ready I"]);
    assert!(client.key.0 > 0 && client.key.0 <= i32::MAX as u32);
}

#[tokio::test]
async fn newer_protocols_are_negotiated_and_wrong_settings_refused() {
    let rig = Rig::open().await;
    let mut client = Client::connect(rig.address).await;
    client.packet(196_617, b"user\0u\0_pq_.new\0x\0\0").await;
    let lines = client.until_ready().await;
    assert_eq!(lines[..2], ["negotiate 30002", "authenticated"]);

    let mut client = Client::connect(rig.address).await;
    client.packet(196_610, b"user\0u\0\0").await;
    assert_eq!(client.until_ready().await[0], "authenticated");

    let mut client = Client::connect(rig.address).await;
    client.startup(&[("user", "u"), ("client_encoding", "LATIN1")]).await;
    let expected = "FATAL 22023 invalid value for parameter \"client_encoding\": \"LATIN1\"";
    assert_eq!(client.until_closed().await, [expected]);

    let mut client = Client::connect(rig.address).await;
    client.startup(&[("user", "u"), ("no_such_setting", "1")]).await;
    assert!(client.until_closed().await[0].starts_with("FATAL 42704"));
}

async fn log_in(rig: &Rig, user: &str, password: &str) -> Vec<String> {
    let mut client = Client::connect(rig.address).await;
    client.startup(&[("user", user)]).await;
    assert_eq!(client.hear().await.unwrap(), "sasl SCRAM-SHA-256");
    let first = "n=,r=abcdef";
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend((first.len() as u32 + 3).to_be_bytes());
    body.extend(format!("n,,{first}").as_bytes());
    client.send(&client::message(b'p', &body)).await;
    let said = client.hear().await.unwrap();
    let server_first = said.strip_prefix("sasl-continue ").unwrap();
    let last = client_final(password, first, server_first);
    client.send(&client::message(b'p', last.as_bytes())).await;
    let mut lines = vec![client.hear().await.unwrap()];
    if lines[0].starts_with("sasl-final v=") {
        lines = client.until_ready().await;
    }
    lines
}

#[tokio::test]
async fn with_a_user_everybody_needs_the_password() {
    let user = Some(("kyu".to_owned(), "s3cret".to_owned()));
    let rig = Rig::with(DoorOptions { user, ..DoorOptions::default() }).await;
    assert_eq!(log_in(&rig, "kyu", "s3cret").await[0], "authenticated");
    let refused = "FATAL 28P01 password authentication failed for user \"kyu\"";
    assert_eq!(log_in(&rig, "kyu", "wrong").await, [refused]);
    let refused = "FATAL 28P01 password authentication failed for user \"other\"";
    assert_eq!(log_in(&rig, "other", "s3cret").await, [refused]);

    // Nothing else is listened to before.
    let mut client = Client::connect(rig.address).await;
    client.startup(&[("user", "kyu")]).await;
    client.hear().await.unwrap();
    client.send(&client::message(b'Q', b"SELECT 1\0")).await;
    assert!(client.until_closed().await[0].starts_with("FATAL 08P01"));
}

fn tls() -> Tls {
    let dir = std::env::temp_dir().join(format!("kyu-pgmq-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, CERTIFICATE).unwrap();
    std::fs::write(&key, KEY).unwrap();
    assert!(Tls::load(&certificate, &dir.join("none.pem")).unwrap_err().contains("none.pem"));
    let tls = Tls::load(&certificate, &key).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    tls
}

#[tokio::test]
async fn tls_for_those_who_ask_and_not_a_byte_before_the_handshake() {
    assert!(PrivateKeyDer::from_pem_slice(KEY.as_bytes()).is_ok());
    let rig = Rig::with(DoorOptions { tls: Some(tls()), ..DoorOptions::default() }).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = Client::connect(rig.address).await;
    client.packet(SSL, b"").await;
    assert_eq!(client.stream.read_u8().await.unwrap(), b'S');
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let mut secure = connector.connect(name, client.stream).await.unwrap();
    let mut packet = 16_u32.to_be_bytes().to_vec();
    packet.extend(196_608_u32.to_be_bytes());
    packet.extend(b"user\0u\0\0");
    packet[3] = packet.len() as u8;
    secure.write_all(&packet).await.unwrap();
    let mut answer = [0; 9];
    secure.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"R\0\0\0\x08\0\0\0\0");

    // Bytes sent along with the request would pass for encrypted ones: the connection ends.
    let mut client = Client::connect(rig.address).await;
    let mut both = vec![0, 0, 0, 8];
    both.extend(SSL.to_be_bytes());
    both.extend(client::message(b'Q', b"SELECT 1\0"));
    client.send(&both).await;
    assert_eq!(client.stream.read_u8().await.unwrap(), b'S');
    assert_eq!(client.until_closed().await, [""; 0]);

    // Without asking, it is still plain text: that is the client's choice.
    rig.client().await;
}

#[tokio::test]
async fn a_cancel_request_ends_a_long_poll_and_needs_the_secret() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    let poll = "SELECT * FROM pgmq.read_with_poll('q', 30, 1)\0";
    client.send(&client::message(b'Q', poll.as_bytes())).await;
    while !rig.log.lock().unwrap().iter().any(|call| call == "read_with_poll") {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let (process, secret) = client.key;
    for secret in [secret ^ 1, secret] {
        let mut other = Client::connect(rig.address).await;
        let body = [process.to_be_bytes(), secret.to_be_bytes()].concat();
        other.packet(CANCEL, &body).await;
        assert_eq!(other.until_closed().await, [""; 0]);
    }
    let expected = ["ERROR 57014 canceling statement due to user request", "ready I"];
    assert_eq!(client.until_ready().await, expected);
}

#[tokio::test]
async fn the_connection_above_the_limit_is_told_so() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    let first = rig.client().await;
    let mut second = Client::connect(rig.address).await;
    second.startup(&[("user", "u")]).await;
    let expected = ["FATAL 53300 sorry, too many clients already"];
    assert_eq!(second.until_closed().await, expected);
    drop(first);
    loop {
        let mut third = Client::connect(rig.address).await;
        third.startup(&[("user", "u")]).await;
        if third.hear().await.unwrap() == "authenticated" {
            break;
        }
    }
}

#[tokio::test]
async fn impossible_startup_packets_close_without_a_word() {
    let rig = Rig::open().await;
    for length in [0_u32, 7, 10_001, 1 << 30, i32::MAX as u32, u32::MAX] {
        let mut client = Client::connect(rig.address).await;
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(196_608_u32.to_be_bytes());
        client.send(&bytes).await;
        assert_eq!(client.until_closed().await, [""; 0], "{length}");
    }
    // Half a packet holds a connection until the login takes too long.
    let limits = Limits { login_timeout: Duration::from_millis(50), ..Limits::default() };
    let rig = Rig::with(DoorOptions { limits, ..DoorOptions::default() }).await;
    let mut client = Client::connect(rig.address).await;
    client.send(&[0, 0, 0, 50, 0, 3]).await;
    assert_eq!(client.until_closed().await, [""; 0]);
}

#[tokio::test]
async fn a_shutdown_ends_idle_sessions_with_57p01() {
    let rig = Rig::open().await;
    let mut client = rig.client().await;
    rig.shutdown().await;
    let expected = ["FATAL 57P01 terminating connection due to administrator command"];
    assert_eq!(client.until_closed().await, expected);
}
