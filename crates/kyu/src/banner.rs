//! The lines that a person who starts the server needs to see, to copy and paste.

use std::net::SocketAddr;
use std::path::Path;

use kyu::Server;

/// The caller whom the lines name.
pub(crate) struct Callers<'a> {
    /// AWS region.
    pub(crate) region: &'a str,
    /// Requests must be signed.
    pub(crate) signed: bool,
    /// The user of the pgmq door, if it demands one.
    pub(crate) pgmq_user: Option<&'a str>,
}

/// Prints to standard error, where it disturbs no script.
pub(crate) fn print(server: &Server, data: &Path, callers: &Callers<'_>) {
    eprintln!("kyu {} on {}", env!("CARGO_PKG_VERSION"), data.display());
    let (http, pgmq) = (server.http_url(), server.pgmq_address());
    if http.is_none() && pgmq.is_none() {
        eprintln!("  no door is open: every address is `off`");
    }
    eprint!("{}{}", http_lines(http.as_deref(), callers), pgmq_lines(pgmq, callers));
}

fn http_lines(url: Option<&str>, callers: &Callers<'_>) -> String {
    let Some(url) = url else { return String::new() };
    let (id, secret) = if callers.signed { ("YOUR_KEY_ID", "YOUR_SECRET") } else { ("any", "any") };
    let region = callers.region;
    format!(
        "
  Python   boto3.client(\"sqs\", endpoint_url=\"{url}\", region_name=\"{region}\",
                        aws_access_key_id=\"{id}\", aws_secret_access_key=\"{secret}\")
  Node.js  new SQSClient({{ endpoint: \"{url}\", region: \"{region}\",
                           credentials: {{ accessKeyId: \"{id}\", secretAccessKey: \"{secret}\" }} }})
  Shell    export AWS_ENDPOINT_URL_SQS={url} AWS_REGION={region} \\
                  AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}
           aws sqs create-queue --queue-name hello
  Health   {url}/metrics  /livez  /readyz

"
    )
}

fn pgmq_lines(address: Option<SocketAddr>, callers: &Callers<'_>) -> String {
    let Some(address) = address else { return String::new() };
    let (host, port) = (address.ip(), address.port());
    let user = callers.pgmq_user.unwrap_or("kyu");
    let ask = if callers.pgmq_user.is_some() { "  (asks for the password)" } else { "" };
    format!(
        "  psql     psql -h {host} -p {port} -U {user} kyu{ask}
           SELECT pgmq.create('hello'); SELECT pgmq.send('hello', '{{\"n\": 1}}');
           SELECT * FROM pgmq.read('hello', 30, 1);

"
    )
}
