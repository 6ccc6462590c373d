//! The command and the Rust SDK with credentials and over TLS, through a proxy that ends the TLS,
//! as people run it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kyu::{ConnectOptions, Credentials, Error, Job, Kyu, Server};
use kyu_door::access::Credential;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Dir;
use super::cli::run_with;

const ID: &str = "AKID";
const SECRET: &str = "s:ecret";

#[derive(Serialize, Deserialize)]
struct Mail {
    to: String,
}

impl Job for Mail {
    const QUEUE: &'static str = "mails";
}

/// A certificate of `localhost`, its own authority.
fn certificate(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../kyu-pgmq/src/wire/tests").join(file)
}

/// A port that ends TLS in front of `server`.
async fn proxy(server: SocketAddr) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(certificate("certificate.pem")).unwrap();
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let mut inner = TcpStream::connect(server).await.unwrap();
                let _cut = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    address
}

/// A server that wants credentials, and the URL of a proxy in front of it.
async fn start(dir: &Dir) -> (Server, String) {
    let mut options = dir.options();
    options.credentials =
        vec![Credential { access_key_id: ID.into(), secret_access_key: SECRET.into(), user: None }];
    let server = Server::start(options).await.unwrap();
    let port = proxy(server.http_address().unwrap()).await.port();
    (server, format!("https://localhost:{port}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_speaks_tls_and_shows_its_credentials() {
    let dir = Dir::new();
    let (server, url) = start(&dir).await;
    let conversation = tokio::task::spawn_blocking(move || {
        let authority = certificate("certificate.pem");
        let url = ("KYU_URL", url.as_str());
        let believed = ("KYU_CA_CERT", authority.to_str().unwrap());
        let (id, secret) = (("KYU_ACCESS_KEY_ID", ID), ("KYU_SECRET_ACCESS_KEY", SECRET));
        let kyu = |variables: &[(&str, &str)], line| run_with(variables, line, "");
        kyu(&[url, believed, id, secret], "queue create jobs").ok();
        kyu(&[url, believed, id, secret], "send jobs hello").ok();
        let received = kyu(&[url, believed, id, secret], "receive jobs --ack").ok();
        assert!(received.contains("hello"), "{received}");
        let wrong = ("KYU_SECRET_ACCESS_KEY", "guess");
        assert_eq!(kyu(&[url, believed, id, wrong], "queue list").code, 7);
        assert_eq!(kyu(&[url, believed], "queue list").code, 7);
        assert_eq!(kyu(&[url, believed, id], "queue list").code, 2, "half a pair");
        // An authority that this machine does not know.
        let refused = kyu(&[url, id, secret], "queue list");
        assert_eq!(refused.code, 8, "{refused:?}");
        assert!(refused.stderr.contains("certificate"), "{refused:?}");
        let nowhere = ("KYU_CA_CERT", "/nowhere.pem");
        assert_eq!(kyu(&[url, nowhere, id, secret], "queue list").code, 2);
    });
    conversation.await.unwrap();
    server.shutdown().await;
}

#[tokio::test]
async fn the_sdk_speaks_tls_and_shows_its_credentials() {
    let dir = Dir::new();
    let (server, url) = start(&dir).await;
    let pair = |secret: &str| {
        Some(Credentials { access_key_id: ID.into(), secret_access_key: secret.into() })
    };
    let options = ConnectOptions {
        credentials: pair(SECRET),
        authorities: Some(certificate("certificate.pem")),
        ..ConnectOptions::new(&url)
    };
    let mail = Mail { to: "ann".into() };
    let kyu = Kyu::connect_with(&options).unwrap();
    kyu.enqueue(&mail).await.unwrap();
    assert_eq!(kyu.counts::<Mail>().await.unwrap(), (1, 0, 0));

    let guess = ConnectOptions { credentials: pair("guess"), ..options.clone() };
    let refused = Kyu::connect_with(&guess).unwrap().enqueue(&mail).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let believing = ConnectOptions { authorities: None, ..options.clone() };
    let refused = Kyu::connect_with(&believing).unwrap().enqueue(&mail).await;
    assert!(matches!(refused, Err(Error::Retry(_))), "{refused:?}");
    server.shutdown().await;
}
