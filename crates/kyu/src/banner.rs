//! What a person who starts the server needs to see: lines to copy and paste.

use kyu::Server;

/// Prints to standard error, where it disturbs no script.
pub(crate) fn print(server: &Server, data: &std::path::Path, region: &str, signed: bool) {
    eprintln!("kyu {} on {}", env!("CARGO_PKG_VERSION"), data.display());
    let Some(url) = server.http_url() else {
        eprintln!("  no door is open: every address is `off`");
        return;
    };
    let (id, secret) = if signed { ("YOUR_KEY_ID", "YOUR_SECRET") } else { ("any", "any") };
    eprintln!(
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
    );
}
